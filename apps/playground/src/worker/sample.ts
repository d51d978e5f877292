import type { Tokenizer } from "@x/data";
import { causalDecoder, streamLongText } from "@x/generate";
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

/** Continues a prompt and gives the text after it. */
export async function sample(model: CausalLM, options: SampleOptions): Promise<string> {
  const { tokenizer, device, prompt, tokens, temperature, seed, signal } = options;
  if (prompt === "") throw new TensorError("The prompt is empty: write at least one character for the model to go on from.");
  const ids = tokenizer.encode(prompt);
  const decoder = causalDecoder(model, { device });
  const breathe = breather();
  let text = "";
  try {
    const decode = (list: number[]) => tokenizer.decode(list);
    for await (const piece of streamLongText(decoder, ids, { maxNewTokens: tokens, decode, temperature, seed, signal })) {
      text += piece;
      await breathe();
    }
  } finally {
    decoder.close();
  }
  return text;
}
