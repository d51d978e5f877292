import type { Inputs, Workload } from "./workloads.ts";

/** What a competitor is given: the work, its inputs, the threads it may use, and the seed of its batches. */
export interface Task {
  work: Workload;
  inputs: Inputs;
  threads: number;
  seed: number;
}

/** A workload made ready: data on the device, models built, nothing left but to run. */
export interface Prepared {
  /**
   * The result, read back: the output of the workload (row-major), or of a training step the losses of the first
   * `curveSteps` steps from the initial weights. Called once, before any `sample`. Absent on a ceiling, which computes nothing.
   */
  output?(): Promise<Float32Array>;
  /** Runs one iteration to its end, leaving the result on the device, and gives its milliseconds. */
  sample(): Promise<number>;
  /** What one more iteration asks of the GPU, after those before it. */
  demands?(): Promise<Demands>;
  /** The most memory of the device it has held, in bytes, where it can tell. */
  peakBytes?(): Promise<number> | number;
  close?(): Promise<void> | void;
}

/** Kernels launched, command buffers submitted, buffers created. */
export interface Demands {
  launches: number;
  submits: number;
  allocations: number;
}

/**
 * One library in the comparison. `prepare` gives `undefined` where the library cannot do the work at all.
 * `threads` on the answer tells how many threads it really uses, if not those asked for; `adapter` names the GPU.
 */
export interface Competitor {
  version(): string | Promise<string>;
  prepare(task: Task): Promise<(Prepared & { threads?: number; adapter?: string | undefined }) | undefined>;
}

/** The sampler of a plain call: one call, timed. */
export function timed(run: () => unknown): () => Promise<number> {
  return async () => {
    const start = performance.now();
    await run();
    return performance.now() - start;
  };
}

/**
 * The sampler of work that a queue takes: `run(times)` enqueues that many iterations and waits once for all. Their number
 * doubles until a sample takes `enough` milliseconds, so that the wait is no part of the figure.
 */
export function batched(run: (times: number) => Promise<unknown>, enough = 20, most = 64): () => Promise<number> {
  let times = 1;
  return async () => {
    const start = performance.now();
    await run(times);
    const taken = performance.now() - start;
    const each = taken / times;
    if (taken < enough && times < most) times *= 2;
    return each;
  };
}

/** Several results as one output, one after another. */
export function joined(parts: readonly ArrayLike<number>[]): Float32Array {
  const all = new Float32Array(parts.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Where each competitor lives: a module whose `competitor(variant)` gives a `Competitor`, at once or later. */
export const competitorModules: Record<string, string> = {
  ours: "./ours.ts",
  ceiling: "./ceiling.ts",
  "ort-web": "../peers/ort-web.mjs",
  "ort-node": "../peers/ort-node.mjs",
  tfjs: "../peers/tfjs.mjs",
  "jax-js": "../peers/jax.mjs",
  torch: "../peers/torch.mjs",
};
