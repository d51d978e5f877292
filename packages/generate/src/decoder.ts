/** What one run will ask of a decoder, told before the first step so that caches are allocated once. */
export interface DecodePlan {
  /** The most tokens that any row will generate: a cache of (longest prompt + newTokens) positions holds the run. */
  readonly newTokens: number;
  /** The most rows that any later `gather` will ask for (prompts x beams in beam search, else the number of prompts). */
  readonly rows: number;
}

/**
 * A model behind its cache, as decoding sees it: tokens in, logits of the next token out. It serves one run at a time, and
 * `prefill` starts a new one. Nothing else of a model is known here, so any model (or a table, in a test) can be decoded.
 */
export interface Decoder {
  /** Width of a row of logits. */
  readonly vocabSize: number;
  /** The most tokens (prompt and generated) of a row, for a model with a fixed number of positions. */
  readonly maxLength?: number;
  /**
   * Starts a run with one row per prompt and forgets the run before. Prompts come as they are, of different lengths and without
   * padding; a decoder that needs a rectangle pads on the left, and padding takes no position and is seen by nobody: the first
   * generated token of a row stands at position `prompt.length`.
   * Returns the logits after the last token of each prompt: [rows, vocabSize]. The caller may write into the array, and reads it
   * no more after its next call.
   */
  prefill(prompts: readonly Int32Array[], plan: DecodePlan): Promise<Float32Array>;
  /**
   * Appends one token to each row and returns the logits after it: [rows, vocabSize], with the freedoms of `prefill`.
   * Rows that have finished get padding tokens until the last row has finished. Their logits are not read, and their position
   * may pass `maxLength`: clamp it.
   */
  step(tokens: Int32Array): Promise<Float32Array>;
  /** Makes row i of the cache a copy of the present row `rows[i]`: reorders, repeats or drops rows; the batch becomes `rows.length`. */
  gather(rows: Int32Array): void;
  /** Frees the cache. Whoever made the decoder closes it; `generate` and `beamSearch` never do. */
  close(): void;
}
