let training = false;

/** Whether the running code trains: dropout acts, running statistics move. A training step says so; everything else does not. */
export const isTraining = (): boolean => training;

/** Runs `fn` in training mode, or out of it. Synchronous, like every body. */
export function withTraining<R>(mode: boolean, fn: () => R): R {
  const before = training;
  training = mode;
  try {
    return fn();
  } finally {
    training = before;
  }
}
