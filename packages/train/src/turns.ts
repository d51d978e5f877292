/** How long a loop may keep the event loop waiting, in milliseconds. */
const patience = 50;

/**
 * Lets waiting events in, now and then: a device whose results come at once would otherwise never let a signal, a timer or a page have its turn.
 * Call it once a round.
 */
export function turns(): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < patience) return;
    await new Promise<void>((done) => void setTimeout(done, 0));
    last = performance.now();
  };
}
