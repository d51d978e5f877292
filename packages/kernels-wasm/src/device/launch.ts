import type { Program } from "@x/tensor";
import type { KernelArgs, KernelName } from "../abi.ts";
import type { LeafAccess } from "../emit/index.ts";

/** A place in a named buffer of a plan: of an input or output, or of scratch. */
export interface Place {
  readonly buffer: string;
  /** In bytes; 0 if absent. */
  readonly offset?: number;
}

/** How much work there is, and how much of it a thread takes at once. Neither depends on the number of threads. */
interface Work {
  readonly units: number;
  readonly grain: number;
}

/** Arguments of a built-in kernel with places for addresses. */
export type LaunchArgs<K extends KernelName> = {
  readonly [N in keyof KernelArgs<K>]: KernelArgs<K>[N] | Place;
};

/** A built-in kernel, by name. */
export interface KernelLaunch<K extends KernelName = KernelName> extends Work {
  readonly kernel: K;
  readonly args: LaunchArgs<K>;
}

/** A pointwise program over collapsed extents, compiled when it is first met. Strides are in elements. */
export interface ProgramLaunch extends Work {
  readonly program: Program;
  readonly extents: readonly number[];
  readonly access: readonly LeafAccess[];
  readonly strides: readonly (readonly number[])[];
  readonly leaves: readonly Place[];
  readonly out: Place;
}

/**
 * A function of another WebAssembly module, with the built-in kernels' signature (begin, end, args) and demands: env.memory alone, with a maximum, no data, no
 * start function. `words` are what `args` points at: integers as they are, places as addresses; for f32 give the bits.
 */
export interface ModuleLaunch extends Work {
  readonly module: Uint8Array;
  readonly export: string;
  readonly words: readonly (number | Place)[];
}

/** A launch is data: what to run on which buffers. */
export type WasmLaunch = KernelLaunch | ProgramLaunch | ModuleLaunch;
