import type { Tokenizer } from "@x/data";
import { causalDecoder, streamText } from "@x/generate";
import type { CausalLM } from "@x/nn";
import { type Device, TensorError } from "@x/tensor";
import { breather } from "./breather.ts";

export interface SampleOptions {
  readonly tokenizer: Tokenizer;
  readonly device: Device;
  readonly prompt: string;
  readonly tokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** Continues a prompt and gives the text after it. A full context goes on from its second half, so that a text may be longer than what the model sees. */
export async function sample(model: CausalLM, options: SampleOptions): Promise<string> {
  const { tokenizer, device, prompt, temperature, seed, signal } = options;
  const limit = model.maxLength ?? Number.POSITIVE_INFINITY;
  let ids = [...promptIds(tokenizer, prompt)].slice(-limit);
  let text = "";
  const breathe = breather();
  for (let left = options.tokens; left > 0 && !signal.aborted; ) {
    const kept = ids.length < limit ? ids : ids.slice(-Math.max(1, Math.floor(limit / 2)));
    const decoder = causalDecoder(model, { device });
    try {
      const pieces = streamText(decoder, kept, {
        ...{ maxNewTokens: Math.min(left, limit - kept.length), decode: (list: number[]) => tokenizer.decode(list) },
        ...{ temperature, seed, draw: options.tokens - left, signal },
      });
      let next = await pieces.next();
      for (; !next.done; next = await pieces.next()) {
        text += next.value;
        await breathe();
      }
      ids = [...kept, ...next.value.tokens];
      left -= next.value.tokens.length;
    } finally {
      decoder.close();
    }
  }
  return text;
}

function promptIds(tokenizer: Tokenizer, prompt: string): Int32Array {
  if (prompt === "") throw new TensorError("The prompt is empty: write at least one character for the model to go on from.");
  return tokenizer.encode(prompt);
}
