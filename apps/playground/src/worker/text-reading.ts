import { type BatchesState, type TextBatch, type TextBatches, type TextBatchesOptions, textBatches } from "@x/data";
import type { ResumableBatches } from "@x/train";

interface Options extends TextBatchesOptions {
  /** Awaited before each batch is handed out: where a run pauses. */
  readonly before: () => Promise<void>;
}

/** The batches of a text, in an order that can be resumed; a run that read another text before begins at this one's start, and says so. */
export class TextReading implements ResumableBatches<TextBatch, BatchesState> {
  readonly #batches: TextBatches;
  readonly #before: () => Promise<void>;
  /** The run has come from another text. */
  anew = false;

  constructor({ before, ...options }: Options) {
    this.#batches = textBatches(options);
    this.#before = before;
  }

  async next(): Promise<{ value: TextBatch }> {
    await this.#before();
    return this.#batches.next();
  }

  state(): BatchesState {
    return this.#batches.state();
  }

  resume(state: BatchesState): void {
    const { tokens, fingerprint } = this.state();
    this.anew = state.tokens !== tokens || state.fingerprint !== fingerprint;
    if (!this.anew) this.#batches.resume(state);
  }
}
