import type { Tokenizer } from "@x/data";
import { causalDecoder, type GenerateOptions, streamText } from "@x/generate";
import type { CausalLM, Module } from "@x/nn";
import { openDevice } from "./devices.ts";
import { needed, number, parse, printJson, text } from "./options.ts";
import { openModel } from "./saved-model.ts";

/** `gpt generate`: continues a prompt, streaming the text as it becomes certain. */
export async function generate(args: readonly string[]): Promise<number> {
  const values = parse(args, {
    from: { type: "string" },
    prompt: { type: "string" },
    tokens: { type: "string" },
    temperature: { type: "string" },
    "top-k": { type: "string" },
    "top-p": { type: "string" },
    "min-p": { type: "string" },
    "repetition-penalty": { type: "string" },
    stop: { type: "string" },
    seed: { type: "string" },
    device: { type: "string" },
    threads: { type: "string" },
    json: { type: "boolean" },
  });
  const from = needed(values, "from", "a run's directory, or a published checkpoint directory");
  const threads = number(values, "threads", { min: 1, whole: true });
  const device = await openDevice(text(values, "device") ?? "wasm", { ...(threads !== undefined && { threads }) });
  const json = values.json === true;
  const temperature = number(values, "temperature", { min: 0 }) ?? 0.8;
  const chosen = {
    temperature,
    topK: number(values, "top-k", { min: 1, whole: true }),
    topP: number(values, "top-p", { min: 0 }),
    minP: number(values, "min-p", { min: 0 }),
    repetitionPenalty: number(values, "repetition-penalty", { min: 0 }),
    seed: number(values, "seed", { min: 0, whole: true }),
    stop: text(values, "stop"),
  };
  try {
    const { model, tokenizer, eos } = await openModel(from);
    const options = {
      ...(Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== undefined)) as GenerateOptions),
      ...(eos.length > 0 && { eos }),
    };
    const prompt = text(values, "prompt") ?? "\n";
    const count = number(values, "tokens", { min: 1, whole: true }) ?? 200;
    if (!json) process.stdout.write(prompt);
    const made = await sample(model, tokenizer, prompt, count, options, json ? () => {} : (piece) => void process.stdout.write(piece));
    if (json) printJson({ text: prompt + made });
    else process.stdout.write("\n");
    return 0;
  } finally {
    device.close();
  }
}

/** Continues a prompt by `count` tokens. A model with a limit goes on from the end of what it wrote when its context is full. */
export async function sample(
  model: Module & CausalLM,
  tokenizer: Tokenizer,
  prompt: string,
  count: number,
  options: GenerateOptions,
  onText: (piece: string) => void,
): Promise<string> {
  let written = "";
  let left = count;
  let draw = options.draw ?? 0;
  while (left > 0) {
    const ids = tokenizer.encode(prompt + written);
    const limit = model.maxLength ?? Number.POSITIVE_INFINITY;
    // Half the context is kept when it is full, so that a long text costs a restart every half context.
    const kept = ids.length < limit ? ids : ids.slice(-Math.max(1, Math.floor(limit / 2)));
    const decoder = causalDecoder(model);
    try {
      const steps = streamText(decoder, kept, {
        ...options,
        draw,
        maxNewTokens: Math.min(left, limit - kept.length),
        decode: (list) => tokenizer.decode(list),
      });
      for (;;) {
        const { done, value } = await steps.next();
        if (!done) {
          written += value;
          onText(value);
          continue;
        }
        left -= value.tokens.length;
        draw += value.tokens.length;
        if (value.finish !== "length" || value.tokens.length === 0) left = 0;
        break;
      }
    } finally {
      decoder.close();
    }
  }
  return written;
}
