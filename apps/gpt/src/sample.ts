import type { Tokenizer } from "@x/data";
import { causalDecoder, type GenerateOptions, streamLongText } from "@x/generate";
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
  const ids = promptIds(tokenizer, prompt, limit);
  const decoder = causalDecoder(model);
  let written = "";
  try {
    const decode = (list: number[]) => tokenizer.decode(list);
    for await (const piece of streamLongText(decoder, ids, { ...known, ...options, maxNewTokens: count, decode })) {
      written += piece;
      onText(piece);
    }
  } finally {
    decoder.close();
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
