import { TraceError } from "@x/tensor";

let training = false;

/** Whether the running code trains: dropout acts, running statistics move. A training step says so; everything else does not. */
export const isTraining = (): boolean => training;

/** Runs `fn` in training mode, or out of it. Synchronous, like every body: what a promise does later would run in another mode. */
export function withTraining<R>(mode: boolean, fn: () => R): R {
  const before = training;
  training = mode;
  try {
    const result = fn();
    if (typeof (result as { then?: unknown } | undefined)?.then === "function")
      throw new TraceError("withTraining: the body returned a promise, but it must be synchronous. Await after it.");
    return result;
  } finally {
    training = before;
  }
}
