import {
  type Contract,
  contiguousStrides,
  type DType,
  dtypes,
  type KernelPlan,
  type LayoutSpec,
  type PlanRequest,
  type Program,
  type RegisterType,
  type Spec,
  sizeOf,
} from "@x/tensor";
import type { Caps } from "../device/caps.ts";
import { type BufferUse, type Param, u32, type WebgpuLaunch } from "../device/launch.ts";
import { programLaunch } from "../wgsl/program.ts";

export type Stored = Exclude<DType, "f64">;
/** What an element is computed as: f32 for the narrower floats, u32 for bytes and bool, itself otherwise. */
export type Wide = "f32" | "i32" | "u32";
export const wideOf = (dtype: DType): Wide => {
  const { register } = dtypes[dtype];
  return register === "bool" || register === "f64" ? "u32" : register;
};

/** A buffer of a plan seen as elements of a dtype: an input, an output, or scratch. */
export interface Place {
  readonly name: string;
  readonly dtype: Stored;
}

/** Where the elements of an input lie: a buffer, the first element, strides in elements. */
export interface Strided extends Place {
  readonly offset: number;
  readonly strides: readonly number[];
  readonly shape: readonly number[];
}

export interface Run {
  readonly label?: string;
  readonly code: string;
  readonly params?: Readonly<Record<string, Param>>;
  readonly groups: number;
  readonly enable?: NonNullable<WebgpuLaunch["enable"]>;
  /** Names that the source uses, with what they stand for. */
  readonly reads?: Readonly<Record<string, Use>>;
  readonly writes?: Readonly<Record<string, Use>>;
  /** Read and written in place. */
  readonly modifies?: Readonly<Record<string, Use>>;
  /** Written in places that no other launch of this plan writes, so that they may run side by side. */
  readonly parts?: Readonly<Record<string, Use>>;
}
/** A place, one or four elements at a time; "words" gives the raw words. */
export type Use = Place | readonly [place: Place, width: 1 | 4] | readonly [place: Place, width: 1 | 4, as: "words"];

/** Collects the launches and the scratch of a plan. */
export class Planner {
  readonly #contract: Contract;
  readonly #request: PlanRequest;
  readonly #launches: WebgpuLaunch[] = [];
  readonly #scratch: Record<string, number> = {};
  /** Conversions into narrow outputs, which follow everything else. */
  readonly #stores: (() => void)[] = [];

  constructor(contract: Contract, request: PlanRequest) {
    this.#contract = contract;
    this.#request = request;
  }

  get caps(): Caps {
    return this.#request.caps as Caps;
  }

  /** Uninitialised elements that live as long as the plan's launches. */
  scratch(elements: number, dtype: Stored = "f32"): Place {
    const name = `scratch${Object.keys(this.#scratch).length}`;
    this.#scratch[name] = Math.max(16, elements * dtypes[dtype].bytes);
    return { name, dtype };
  }

  /** A launch; none where there are no workgroups. The source says `x_at`, `y_put` for the names given here. */
  run({ label, code, params = {}, groups, enable, reads = {}, writes = {}, modifies = {}, parts = {} }: Run): void {
    if (groups === 0) return;
    const uses: BufferUse[] = [];
    for (const [access, entries] of [
      ["read", reads],
      ["write", writes],
      ["modify", modifies],
      ["part", parts],
    ] as const)
      for (const [name, use] of Object.entries(entries)) {
        const [place, width, as] = Array.isArray(use) ? (use as readonly [Place, 1 | 4, "words"?]) : [use as Place, 1 as const];
        uses.push({ name, buffer: place.name, elements: { dtype: as ?? place.dtype, width }, access });
      }
    this.#launches.push({
      label: label ?? this.#contract.name,
      code,
      buffers: uses,
      params,
      groups,
      ...(enable && { enable }),
    });
  }

  push(...launches: readonly WebgpuLaunch[]): void {
    this.#launches.push(...launches);
  }

  /** The layout of an input; `index` picks one of a list. */
  spec(name: string, index?: number): LayoutSpec {
    const entry = this.#request.specs[name];
    const spec = Array.isArray(entry) ? entry[index ?? 0] : entry;
    if (!spec) throw new Error(`${this.#contract.name}: the plan reads the input "${name}", which is absent.`);
    return spec as LayoutSpec;
  }

  has(name: string): boolean {
    return this.#request.specs[name] !== undefined;
  }

  /** An input as it lies. */
  strided(name: string, index?: number): Strided {
    const { shape, strides, offset, dtype } = this.spec(name, index);
    return { name: index === undefined ? name : `${name}.${index}`, dtype: dtype as Stored, shape, strides, offset };
  }

  /** An input that arrives contiguous. Reading converts, whatever its dtype. */
  input(name: string, index?: number): Place {
    const { name: buffer, dtype } = this.strided(name, index);
    return { name: buffer, dtype };
  }

  /** The memory of an output, in its own dtype. */
  target(name: string): Place {
    const [output, index] = name.split(".") as [string, string | undefined];
    const entry = this.#request.outputs[output];
    const { dtype } = (index === undefined ? entry : (entry as readonly Spec[])[Number(index)]) as Spec;
    return { name: output in this.#contract.inputs ? `out.${name}` : name, dtype: dtype as Stored };
  }

  /** Where to compute an output, in the type it is computed in; it is narrowed to its dtype at the end of the plan. */
  output(name: string): Place {
    const place = this.target(name);
    const wide = wideOf(place.dtype);
    if (dtypes[place.dtype].bytes === dtypes[wide].bytes) return place;
    const [output, index] = name.split(".") as [string, string | undefined];
    const entry = this.#request.outputs[output];
    const { shape } = (index === undefined ? entry : (entry as readonly Spec[])[Number(index)]) as Spec;
    const made = this.scratch(sizeOf(shape), wide);
    this.#stores.push(() => this.convert(dense(made, [sizeOf(shape)]), place));
    return made;
  }

  /** An auxiliary output where a gradient reads it, else undefined. */
  wanted(name: string): Place | undefined {
    return this.#request.wants(name) ? this.output(name) : undefined;
  }

  /** Strided elements converted into contiguous ones of another dtype. */
  convert(from: Strided, to: Place): void {
    const register = dtypes[to.dtype].register as RegisterType;
    const source = dtypes[from.dtype].register as RegisterType;
    const program: Program = {
      leaves: [from.dtype],
      instructions: [
        { op: "leaf", leaf: 0, type: source },
        ...(source === register ? [] : [{ op: "cast" as const, args: [0], type: register }]),
      ],
      outputs: [{ register: source === register ? 0 : 1, dtype: to.dtype }],
    };
    this.program(program, from.shape, [from], to);
  }

  /** Strided elements as fresh contiguous ones of the type they are computed in. */
  contiguous(from: Strided): Strided {
    const made = this.scratch(sizeOf(from.shape), wideOf(from.dtype));
    this.convert(from, made);
    return { ...made, offset: 0, strides: contiguousStrides(from.shape), shape: from.shape };
  }

  /** A pointwise program over `shape` into contiguous memory. Leaves without strides are keys. */
  program(program: Program, shape: readonly number[], leaves: readonly (Strided | Place)[], out: Place): void {
    const launch = programLaunch(program, shape, leaves, out, this.caps.software ? 64 : 4096);
    if (launch) this.#launches.push(launch);
  }

  /** Elements that are all the same word. */
  fill(out: Place, elements: number, word = 0): void {
    const words = Math.ceil((elements * dtypes[out.dtype].bytes) / 4);
    this.run({
      label: "fill",
      code: fillCode,
      params: { n: u32(Math.ceil(words / 4)), word: u32(word >>> 0) },
      groups: Math.ceil(words / 1024),
      writes: { y: [out, 4, "words"] },
    });
  }

  finish(): KernelPlan {
    for (const store of this.#stores) store();
    return { scratch: this.#scratch, launches: this.caps.f16 ? this.#launches.map(withHalves) : this.#launches };
  }
}

/** What reads f16 does so by the adapter's own conversion. */
function withHalves(launch: WebgpuLaunch): WebgpuLaunch {
  const { buffers, enable = [] } = launch;
  const reads = buffers.some(({ elements, access }) => elements.dtype === "f16" && (access === "read" || access === "modify"));
  return reads && !enable.includes("f16") ? { ...launch, enable: ["f16", ...enable] } : launch;
}

/** A place read in row-major order. */
export const dense = (place: Place, shape: readonly number[]): Strided => ({
  ...place,
  offset: 0,
  strides: contiguousStrides(shape),
  shape,
});

const fillCode = `
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_of(group) * 256u + lane;
  if (i < p.n) { y_put(i, vec4<u32>(p.word)); }
}
`;
