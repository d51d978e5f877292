import {
  type CompanionPlan,
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
} from "@x/tensor";
import type { KernelName } from "../abi.ts";
import type { LaunchArgs, Place, WasmLaunch } from "../device/launch.ts";
import { collapse } from "../emit/index.ts";
import { copyLaunches } from "./copying.ts";
import { programLaunch } from "./programs.ts";
import { grainFor, product } from "./work.ts";

/** What an element is computed as: f32 for the narrower floats, u32 for bytes, itself otherwise. */
export type Wide = Exclude<RegisterType, "f64">;
export const wideOf = (dtype: DType): Wide => dtypes[dtype].register as Wide;

/** Where the elements of an input lie: a place and strides in elements. */
export interface Strided {
  readonly place: Place;
  readonly strides: readonly number[];
  readonly shape: readonly number[];
}

/** Collects the launches and the scratch of a plan; converts inputs and outputs whose dtype the kernels do not compute in. */
export class Planner {
  readonly #contract: Contract;
  readonly #request: PlanRequest;
  readonly #launches: WasmLaunch[] = [];
  readonly #scratch: Record<string, number> = {};
  readonly #companions: Record<string, CompanionPlan> = {};
  /** Conversions into narrow outputs, which follow everything else. */
  readonly #stores: (() => void)[] = [];

  constructor(contract: Contract, request: PlanRequest) {
    this.#contract = contract;
    this.#request = request;
  }

  /** Uninitialised bytes that live as long as the plan's launches. */
  scratch(bytes: number): Place {
    const buffer = `scratch${Object.keys(this.#scratch).length}`;
    this.#scratch[buffer] = Math.max(4, bytes);
    return { buffer };
  }

  /** Whether what a launch derives from the memory at `place` alone is kept between calls: see `companion`. */
  keeps({ buffer }: Place): boolean {
    return this.has(buffer) && this.#request.keeps(buffer);
  }

  /** Memory that a launch of `kernel` derives from the input at `from` alone, which the plan `keeps`; `argsFor` gets its place. */
  companion<K extends KernelName>(from: Place, bytes: number, kernel: K, argsFor: (out: Place) => LaunchArgs<K>, units: number): Place {
    const buffer = `companion${Object.keys(this.#companions).length}`;
    const launch = { kernel, args: argsFor({ buffer }), units, grain: 1 };
    this.#companions[buffer] = { of: from.buffer, bytes, launches: [launch] };
    return { buffer };
  }

  /** A built-in kernel over `units`; `cost` is the number of elementary operations of one, which decides how many a thread takes at once. */
  run<K extends KernelName>(kernel: K, args: LaunchArgs<K>, units: number, cost: number): void {
    this.push({ kernel, args, units, grain: grainFor(cost) } as unknown as WasmLaunch);
  }

  push(...launches: readonly WasmLaunch[]): void {
    for (const launch of launches) if (launch.units > 0) this.#launches.push(launch);
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

  /** The memory of an input as it lies, in its own dtype. */
  raw(name: string, index?: number): Strided {
    const { shape, strides, offset, dtype } = this.spec(name, index);
    const buffer = index === undefined ? name : `${name}.${index}`;
    return { place: { buffer, offset: offset * dtypes[dtype].bytes }, strides, shape };
  }

  /** An input in the type it is computed in, with whatever strides it has; converted ones are contiguous. */
  strided(name: string, index?: number): Strided {
    const { dtype } = this.spec(name, index);
    const raw = this.raw(name, index);
    return dtypes[dtype].bytes === dtypes[wideOf(dtype)].bytes ? raw : this.convert(raw, dtype, wideOf(dtype));
  }

  /** An input that arrives contiguous, in the type it is computed in. */
  input(name: string, index?: number): Place {
    return this.strided(name, index).place;
  }

  /** The same, or undefined where the caller left it out. */
  maybe(name: string): Place | undefined {
    return this.has(name) ? this.input(name) : undefined;
  }

  /** Where to compute an output, in the type it is computed in; it is narrowed to its dtype at the end of the plan. */
  output(name: string): Place {
    const { shape, dtype } = this.#request.outputs[name] as Spec;
    const place = this.target(name);
    const wide = wideOf(dtype);
    if (dtypes[dtype].bytes === dtypes[wide].bytes) return place;
    const made = this.scratch(product(shape) * dtypes[wide].bytes);
    const size = [product(shape)];
    this.#stores.push(() => this.program(conversion(wide, dtype), size, [{ place: made, strides: [1], shape: size }], place));
    return made;
  }

  /** An auxiliary output where a gradient reads it, else undefined. */
  wanted(name: string): Place | undefined {
    return this.#request.wants(name) ? this.output(name) : undefined;
  }

  /** The memory of an output, in its own dtype. */
  target(name: string): Place {
    return { buffer: name.split(".")[0]! in this.#contract.inputs ? `out.${name}` : name };
  }

  /** Strided elements converted into fresh contiguous ones. */
  convert({ place, strides, shape }: Strided, from: DType, to: DType): Strided {
    const made = this.scratch(product(shape) * dtypes[to].bytes);
    this.program(conversion(from, to), shape, [{ place, strides, shape }], made);
    return { place: made, strides: contiguousStrides(shape), shape };
  }

  /** A pointwise program over `shape` into contiguous memory. Leaves without strides are keys. */
  program(
    program: Program,
    shape: readonly number[],
    leaves: readonly (Strided | { readonly place: Place; readonly strides?: undefined })[],
    out: Place,
  ): void {
    const iteration = collapse(
      shape,
      leaves.map(({ strides }) => strides),
    );
    this.push(
      programLaunch(
        program,
        iteration,
        leaves.map(({ place }) => place),
        out,
      ),
    );
  }

  /** Copies elements of `size` bytes from strides to strides over `shape`. */
  copy(shape: readonly number[], size: number, out: Place, outStrides: readonly number[], from: Place, strides: readonly number[]): void {
    this.push(...copyLaunches({ shape, size, out, outStrides, from, strides }));
  }

  /** Strided elements of `size` bytes as fresh contiguous ones. */
  contiguous({ place, strides, shape }: Strided, size: number): Strided {
    const made = this.scratch(product(shape) * size);
    this.copy(shape, size, made, contiguousStrides(shape), place, strides);
    return { place: made, strides: contiguousStrides(shape), shape };
  }

  /** `bytes` bytes of a repeated word. */
  fill(out: Place, bytes: number, word = 0): void {
    const chunk = 65_536;
    this.run("fill", { out, word, bytes, chunk }, Math.ceil(bytes / chunk), chunk / 16);
  }

  /** Scratch of four-byte zeros. */
  zeros(elements: number): Place {
    const made = this.scratch(4 * elements);
    this.fill(made, 4 * elements);
    return made;
  }

  finish(): KernelPlan {
    for (const store of this.#stores) store();
    return { scratch: this.#scratch, launches: this.#launches, companions: this.#companions };
  }
}

/** Loads one dtype and stores another of the same register type. */
const conversion = (from: DType, to: DType): Program => ({
  leaves: [from],
  instructions: [{ op: "leaf", leaf: 0, type: wideOf(from) }],
  outputs: [{ register: 0, dtype: to }],
});
