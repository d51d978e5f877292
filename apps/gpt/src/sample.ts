import type { Tokenizer } from "@x/data";
import { causalDecoder, type GenerateOptions, streamText } from "@x/generate";
import { TensorError } from "@x/tensor";
import type { Model } from "./models.ts";

/**
 * Continues a prompt by `count` tokens and returns the text after it, piece by piece through `onText`. A model with a limit goes on from the end of what it
 * wrote when its context is full. Throws where the prompt has nothing, or more than the model sees.
 */
export async function sample(
  model: Model,
  tokenizer: Tokenizer,
  prompt: string,
  count: number,
  options: GenerateOptions,
  onText: (piece: string) => void,
): Promise<string> {
  const limit = model.maxLength ?? Number.POSITIVE_INFINITY;
  // Published tables have rows beyond the tokenizer's ids, as padding: nothing stands behind them.
  const known: GenerateOptions =
    tokenizer.vocabSize < model.vocabSize ? { processors: [(scores) => void scores.fill(-Infinity, tokenizer.vocabSize)] } : {};
  let ids = [...promptIds(tokenizer, prompt, limit)];
  let written = "";
  let left = count;
  let draw = options.draw ?? 0;
  while (left > 0) {
    // Half the context is kept when it is full, so that a long text costs a new start every half context.
    const kept = ids.length < limit ? ids : ids.slice(-Math.max(1, Math.floor(limit / 2)));
    const maxNewTokens = Math.min(left, limit - kept.length);
    const decoder = causalDecoder(model);
    try {
      const pieces = streamText(decoder, kept, { ...known, ...options, draw, maxNewTokens, decode: (list) => tokenizer.decode(list) });
      let next = await pieces.next();
      for (; !next.done; next = await pieces.next()) {
        written += next.value;
        onText(next.value);
      }
      const { tokens, finish } = next.value;
      ids = [...kept, ...tokens];
      left = finish === "length" ? left - tokens.length : 0;
      draw += tokens.length;
    } finally {
      decoder.close();
    }
  }
  return written;
}

function promptIds(tokenizer: Tokenizer, prompt: string, limit: number): Int32Array {
  const ids = encoded(tokenizer, prompt);
  if (ids.length === 0) throw new TensorError("--prompt: is empty, and the tokenizer has no token that begins a text. Give some text.");
  if (ids.length > limit) throw new TensorError(`--prompt: has ${ids.length} tokens, but the model sees at most ${limit}. Shorten it.`);
  return ids;
}

function encoded(tokenizer: Tokenizer, prompt: string): Int32Array {
  try {
    const ids = tokenizer.encode(prompt);
    return ids.length === 0 && tokenizer.bos !== undefined ? Int32Array.of(tokenizer.bos) : ids;
  } catch (cause) {
    throw new TensorError(`--prompt: ${(cause as Error).message}`, { cause });
  }
}
