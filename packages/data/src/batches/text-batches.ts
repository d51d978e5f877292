import { DataError, integer, show } from "../errors.ts";
import { type BatchOrder, ORDERS, type WindowOrder } from "./order.ts";
import { checkWindows, type TextBatch, type Tokens, windowBatch } from "./windows.ts";

export interface TextBatchesOptions {
  /** The text, as token ids, [length]; at least context + 1 of them. */
  tokens: Tokens;
  /** Windows in a batch. */
  batch: number;
  /** Tokens in a window. */
  context: number;
  /** From 0 to 2^53 - 1. The same seed gives the same batches, on every machine. */
  seed: number;
  /** `random`: uniformly random windows, with replacement. `shuffled`: every window once an epoch. Default `random`. */
  order?: BatchOrder;
}

/** Where a run stands in its data: JSON for a checkpoint. All but `position` is there to notice that it belongs to other data. */
export interface BatchesState {
  /** Batches handed out so far. */
  readonly position: number;
  readonly batch: number;
  readonly context: number;
  readonly seed: number;
  readonly order: BatchOrder;
  /** Length of the text in tokens. */
  readonly tokens: number;
  /** Hash of the text. */
  readonly fingerprint: string;
}

/** Endless batches of windows, for training. The batch at a position depends on the options alone, never on what was read before. */
export class TextBatches implements IterableIterator<TextBatch> {
  readonly batch: number;
  readonly context: number;
  /** Batches that see the whole text once; a fraction where it is no whole number of batches. */
  readonly batchesPerEpoch: number;
  readonly #options: Required<TextBatchesOptions>;
  readonly #order: WindowOrder;
  readonly #fingerprint: string;
  #position = 0;

  constructor({ order = "random", ...options }: TextBatchesOptions) {
    const { tokens, batch, context, seed } = options;
    checkWindows("textBatches", tokens, batch, context);
    integer("textBatches", "seed", seed, 0);
    if (!Object.hasOwn(ORDERS, order)) {
      throw new DataError(`textBatches: order must be one of ${Object.keys(ORDERS).join(", ")}, got ${show(order)}.`);
    }
    this.#options = { ...options, order };
    this.batch = batch;
    this.context = context;
    this.#order = ORDERS[order](seed, tokens.length, context);
    this.#fingerprint = fingerprint(tokens);
    this.batchesPerEpoch = this.#order.windowsPerEpoch / batch;
  }

  /** The next batch. There always is one. */
  next(): { done: false; value: TextBatch } {
    const { tokens, batch, context } = this.#options;
    const first = this.#position * batch;
    const starts = Array.from({ length: batch }, (_, row) => this.#order.start(first + row));
    this.#position++;
    return { done: false, value: windowBatch(tokens, starts, context) };
  }

  [Symbol.iterator](): this {
    return this;
  }

  /** Where the run stands: `resume` with it, on the same options, goes on with the batch that would have come next. */
  state(): BatchesState {
    const { tokens, ...options } = this.#options;
    return { position: this.#position, ...options, tokens: tokens.length, fingerprint: this.#fingerprint };
  }

  /** Goes on from `state`. @throws DataError naming what differs, if the state belongs to another text or other options. */
  resume(state: BatchesState): void {
    const own = this.state();
    const position = integer("textBatches.resume", "position", state?.position, 0);
    for (const field of ["tokens", "fingerprint", "batch", "context", "seed", "order"] as const) {
      if (state[field] === own[field]) continue;
      const what = field === "tokens" || field === "fingerprint" ? "the text is another one" : `${field} is another one`;
      throw new DataError(
        `textBatches.resume: ${what}: the run had ${field} ${show(state[field])}, now it is ${show(own[field])}. ` +
          "Go on with the same data and options, or begin a new run from the weights.",
      );
    }
    this.#position = position;
  }
}

/** Endless training batches from a token array, in a seeded order that can be resumed exactly. */
export function textBatches(options: TextBatchesOptions): TextBatches {
  return new TextBatches(options);
}

/** FNV-1a over the tokens, or over 2^20 of them evenly spaced where there are more: enough to notice another text. */
function fingerprint(tokens: Tokens): string {
  const stride = Math.max(1, Math.floor(tokens.length / 2 ** 20));
  let hash = 0x811c9dc5;
  for (let i = 0; i < tokens.length; i += stride) hash = Math.imul(hash ^ tokens[i]!, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
