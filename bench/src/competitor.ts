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
   * The result, read back: the output of the workload (row-major), or for `baby-step` the losses of the first
   * `curveSteps` steps from the initial weights. Called once, before any `sample`. Absent on a ceiling, which computes nothing.
   */
  output?(): Promise<Float32Array>;
  /** Runs one iteration to its end, leaving the result on the device, and gives its milliseconds. */
  sample(): Promise<number>;
  close?(): Promise<void> | void;
}

/**
 * One library in the comparison. `prepare` gives `undefined` where the library cannot do the work at all.
 * `threads` on the answer tells how many threads it really uses, if not those asked for.
 */
export interface Competitor {
  version(): string | Promise<string>;
  prepare(task: Task): Promise<(Prepared & { threads?: number }) | undefined>;
}

/** The sampler of a plain call: one call, timed. */
export function timed(run: () => unknown): () => Promise<number> {
  return async () => {
    const start = performance.now();
    await run();
    return performance.now() - start;
  };
}

/** Where each competitor lives: a module whose `competitor(variant)` gives a `Competitor`. */
export const competitorModules: Record<string, string> = {
  ours: "./ours.ts",
  ceiling: "./ceiling.ts",
  "ort-web": "../peers/ort-web.mjs",
  "ort-node": "../peers/ort-node.mjs",
  tfjs: "../peers/tfjs.mjs",
  "jax-js": "../peers/jax.mjs",
  torch: "../peers/torch.mjs",
};
