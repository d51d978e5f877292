import type { Decoder } from "./decoder.ts";
import { streamText } from "./generate.ts";
import type { FinishReason, GenerateOptions, Prompt } from "./options.ts";

/** Options of `streamLongText`. */
export interface LongTextOptions extends GenerateOptions {
  /** Tokens of the whole text, however often the context fills up. */
  maxNewTokens: number;
  decode: (ids: number[]) => string;
}

/**
 * `streamText` beyond the decoder's `maxLength`: when the context is full, it goes on from its later half, so that a long text costs a new start every half context.
 * A prompt longer than the context counts by its end. Draws go on from start to start; a stop string that a start cuts in two is not seen. Returns why the text ended.
 */
export async function* streamLongText(
  decoder: Decoder,
  prompt: Prompt,
  options: LongTextOptions,
): AsyncGenerator<string, FinishReason, void> {
  const limit = decoder.maxLength ?? Number.POSITIVE_INFINITY;
  let ids = [...prompt];
  let left = options.maxNewTokens;
  let draw = options.draw ?? 0;
  for (;;) {
    const seen = ids.length < limit ? ids : ids.slice(-Math.max(1, Math.floor(limit / 2)));
    const { tokens, finish } = yield* streamText(decoder, seen, { ...options, draw, maxNewTokens: Math.min(left, limit - seen.length) });
    ids = [...seen, ...tokens];
    left -= tokens.length;
    draw += tokens.length;
    if (finish !== "length" || left === 0) return finish;
  }
}
