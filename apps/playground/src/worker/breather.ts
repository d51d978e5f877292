/** How long the worker may be deaf to the page, in milliseconds. */
const patience = 40;

/** To be called in a loop: lets the page's messages in now and then, which a device that computes at once never would. */
export function breather(): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < patience) return;
    await new Promise<void>((done) => void setTimeout(done, 0));
    last = performance.now();
  };
}
