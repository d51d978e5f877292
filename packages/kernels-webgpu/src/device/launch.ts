import type { Elements } from "../wgsl/elements.ts";

/** A buffer that a launch reads or writes. */
export interface BufferUse {
  /** What the source calls it. */
  readonly name: string;
  /** Whose memory it is: a name of the contract (`x`, `leaves.0`, `out.x`), or of the plan's scratch. */
  readonly buffer: string;
  readonly elements: Elements;
  /** "write": nothing is read. "modify": read and written in place. "part": written, where no other launch of the same plan writes. */
  readonly access: "read" | "write" | "modify" | "part";
}

/** A number that a launch is given at run time, in a uniform: shapes and strides, so that one pipeline serves them all. */
export type Param = { readonly u32: number } | { readonly i32: number } | { readonly f32: number };

/**
 * What a kernel of this device does once: WGSL over named buffers. Declarations, accessors and the parameters are put before `code` by the device, which
 * must define `main`. `x_at(i)` reads element i of x (a vector where the elements are declared wider), `y_put(i, value)` writes, `p.NAME` is a parameter.
 */
export interface WebgpuLaunch {
  /** Named in errors, profiles and labels. */
  readonly label: string;
  readonly code: string;
  readonly buffers: readonly BufferUse[];
  readonly params: Readonly<Record<string, Param>>;
  /**
   * Workgroups, a line of any length: it may be folded into a plane, so the source finds its place by `group_of(workgroup_id)` and must leave alone what lies beyond the end, for
   * a fold may add some.
   */
  readonly groups: number;
  /** Extensions that the source enables. */
  readonly enable?: readonly ("f16" | "subgroups" | "chromium_experimental_subgroup_matrix")[];
}

export const u32 = (value: number): Param => ({ u32: value });
export const i32 = (value: number): Param => ({ i32: value });
export const f32 = (value: number): Param => ({ f32: value });
