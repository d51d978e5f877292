import type { DType } from "./dtype.ts";
import type { Contract } from "./op.ts";
import type { Shape } from "./shape.ts";

/** How a sample's input is filled. Numbers come from a seeded stream, the same on every device. */
export type Fill =
  | { readonly kind: "normal"; readonly mean?: number; readonly deviation?: number }
  | { readonly kind: "uniform"; readonly low: number; readonly high: number }
  /** Integers from low to high - 1. */
  | { readonly kind: "integers"; readonly low: number; readonly high: number }
  | { readonly kind: "values"; readonly values: readonly number[] };

export interface SampleInput {
  readonly shape: Shape;
  readonly dtype?: DType;
  readonly fill?: Fill;
  /** Handed over as a view that is not contiguous: a transposed, sliced or repeated one of the same elements. */
  readonly layout?: "contiguous" | "transposed" | "sliced" | "expanded";
}

/** One case that every kernel of a contract must get right; kept beside the contract, on its package's `samples` subpath. */
export interface Sample {
  readonly op: { readonly contract: Contract };
  /** Reads like a sentence: "B2 S13 causal, grouped heads". */
  readonly name: string;
  readonly inputs: Readonly<Record<string, SampleInput | readonly SampleInput[] | number | undefined>>;
  readonly attrs?: Readonly<Record<string, unknown>>;
  /** Largest |a - b| - rtol * |b| allowed against the reference in f64 (f32 where the op has no f64). */
  readonly tolerance?: { readonly atol: number; readonly rtol: number };
  /** Inputs whose gradients are compared; absent: every floating point one. Empty: none. */
  readonly gradients?: readonly string[];
}
