import type { DType } from "./dtype.ts";
import type { Contract, Spec } from "./op.ts";
import type { LaunchTime } from "./profile.ts";
import type { Shape } from "./shape.ts";

/** The number of the interface between this package and kernels-* packages; a device with another number is refused. */
export const tensorInterface = 1;

/** How an input lies in memory, as its kernel sees it: strides in elements, and the offset left after the binding was aligned (0 unless the layout is "strided"). */
export interface LayoutSpec extends Spec {
  readonly strides: Shape;
  readonly offset: number;
}
export type PerName<T> = Readonly<Record<string, T | readonly T[] | undefined>>;

/** What a planner is told: never a device, a queue or a value, so that a plan can be replayed, printed and tested. */
export interface PlanRequest {
  readonly specs: PerName<LayoutSpec>;
  readonly outputs: PerName<Spec>;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly caps: Readonly<Record<string, number | boolean | string>>;
  /** Whether an auxiliary output is read by a gradient. */
  wants(output: string): boolean;
  /** Whether this output lies in the memory of the input that the contract's `mayReuse` names. */
  reuses(output: string): boolean;
  /** Whether companions of this input are kept between calls: a compiled step reads it from a cell that it does not write. */
  keeps(input: string): boolean;
}

/** What a kernel does for given shapes: bytes of scratch by name, and launches over named buffers (`x`, `leaves.0`, `y`, `out.x` for an output named like an input, a scratch name). */
export interface KernelPlan {
  readonly scratch?: Readonly<Record<string, number>>;
  readonly launches: readonly unknown[];
  /** Memory derived from one input alone, by name: only of inputs that the request `keeps`. It is made anew after a write of the cell, and else kept. */
  readonly companions?: Readonly<Record<string, CompanionPlan>>;
}

/** How a companion is made: `launches` read the input `of` and write the companion, and touch nothing else. */
export interface CompanionPlan {
  readonly of: string;
  readonly bytes: number;
  readonly launches: readonly unknown[];
}

/**
 * A way to compute a contract on a device. `accepts` answers true or a reason. Inputs arrive contiguous unless `layout` says otherwise:
 * "rows" (unit stride on the last axis), "strided" (any). Outputs are fresh and contiguous.
 */
export interface Kernel {
  readonly name: string;
  readonly contract: Contract;
  /** The driver whose launches it makes: "wasm", "webgpu", ... */
  readonly driver: string;
  readonly interface: number;
  accepts?(request: {
    specs: PerName<Spec>;
    outputs: PerName<Spec>;
    attrs: Readonly<Record<string, unknown>>;
    caps: PlanRequest["caps"];
  }): true | string;
  readonly layout?: Readonly<Record<string, "rows" | "strided">>;
  plan(request: PlanRequest): KernelPlan;
}

/** Memory bound to a name of a launch. */
export interface Binding {
  readonly storage: unknown;
  /** In bytes, a multiple of the driver's alignment. */
  readonly offset: number;
  readonly bytes: number;
}
export interface BoundStep {
  readonly name: string;
  readonly launches: readonly unknown[];
  readonly bindings: Readonly<Record<string, Binding>>;
}
/** A list of launches ready to be run again and again. */
export interface Executable {
  /** Begins to make what `run` would make, and wait for, when it is first called; the driver's `settled` waits for it, and tells what was refused. Absent: there is nothing to make. */
  prepare?(): void;
  run(): void;
  release(): void;
}

/** What a kernels-* package implements: memory and launches of one kind of hardware. Everything but `read` returns at once. */
export interface Driver {
  readonly name: string;
  readonly interface: number;
  readonly dtypes: readonly DType[];
  readonly caps: Readonly<Record<string, number | boolean | string>>;
  /** What binding offsets must be a multiple of, in bytes. */
  readonly alignment: number;
  /**
   * The driver runs launches of a step side by side, as far as the memory that they share allows. So what a plan needs only while it runs takes turns: a temporary of at most so many bytes is not written
   * again soon, and a larger one is where most time has passed. Absent: what was used last is used again first, which caches like best.
   */
  readonly sideBySide?: number;
  /** `together`: for what keeps it for life, and for small temporaries of a driver with `sideBySide`; many of those may lie in one. */
  allocate(bytes: number, together?: boolean): unknown;
  release(storage: unknown): void;
  write(storage: unknown, offset: number, bytes: Uint8Array): void;
  /** A copy, once all earlier launches are done. */
  read(storage: unknown, offset: number, bytes: number): Promise<Uint8Array>;
  run(step: BoundStep): void;
  /** Times every launch from now on, until the function that it returns is called, which gives the times. Absent: this driver cannot. */
  profile?(): () => Promise<readonly LaunchTime[]>;
  build(steps: readonly BoundStep[]): Executable;
  /** Waits until everything launched has been done; rejects with errors the hardware reported late. */
  settled(): Promise<void>;
  close(): void;
}
