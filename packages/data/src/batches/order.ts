import { permutation, randomIndex } from "./random.ts";

/** Where the windows of a training run begin: a pure function of the window's number, so that any place can be resumed. */
export interface WindowOrder {
  /** The first token of window number `window` (0, 1, 2 ... over the whole run). */
  start(window: number): number;
  /** How many windows see the whole text once. */
  readonly windowsPerEpoch: number;
}

/** How `textBatches` chooses windows. */
export const ORDERS = {
  /** Every window begins at a uniformly random token, with replacement, as nanoGPT does. */
  random: (seed: number, tokens: number, context: number): WindowOrder => ({
    windowsPerEpoch: Math.floor((tokens - 1) / context),
    start: (window) => randomIndex(seed, Math.floor(window / 2 ** 32), window % 2 ** 32, tokens - context),
  }),
  /**
   * The text is cut into consecutive windows, and each epoch visits all of them in a new order. Where the text is no whole
   * number of windows, each epoch also draws where the first one begins, so that no token is always left out.
   */
  shuffled: (seed: number, tokens: number, context: number): WindowOrder => {
    const windowsPerEpoch = Math.floor((tokens - 1) / context);
    const spare = tokens - 1 - windowsPerEpoch * context;
    let current: { epoch: number; shift: number; order: Uint32Array } = { epoch: -1, shift: 0, order: new Uint32Array(0) };
    const enter = (epoch: number) => ({
      epoch,
      shift: randomIndex(seed, epoch, windowsPerEpoch, spare + 1),
      order: permutation(seed, epoch, windowsPerEpoch),
    });
    return {
      windowsPerEpoch,
      start(window) {
        const epoch = Math.floor(window / windowsPerEpoch);
        if (epoch !== current.epoch) current = enter(epoch);
        return current.shift + current.order[window - epoch * windowsPerEpoch]! * context;
      },
    };
  },
};

export type BatchOrder = keyof typeof ORDERS;
