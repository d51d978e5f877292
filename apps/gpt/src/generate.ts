import type { Tokenizer } from "@x/data";
import { deviceOptions, openDevice } from "./devices.ts";
import { interruptible } from "./interruption.ts";
import { given, needed, number, parse, printJson, text } from "./options.ts";
import { sample } from "./sample.ts";
import { openModel } from "./saved-model.ts";

const options = {
  ...deviceOptions,
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
  json: { type: "boolean" },
} as const;

/** `gpt generate`: continues a prompt, streaming the text as it becomes certain. */
export async function generate(args: readonly string[]): Promise<number> {
  const values = parse(args, options);
  const from = needed(values, "from", "a run's directory, or a published checkpoint directory");
  const count = number(values, "tokens", { min: 1, whole: true }) ?? 200;
  const chosen = given({
    temperature: number(values, "temperature", { min: 0 }) ?? 0.8,
    topK: number(values, "top-k", { min: 1, whole: true }),
    topP: number(values, "top-p", { min: 0, max: 1 }),
    minP: number(values, "min-p", { min: 0, max: 1 }),
    repetitionPenalty: number(values, "repetition-penalty", { min: 0 }),
    seed: number(values, "seed", { min: 0, whole: true }),
    stop: text(values, "stop"),
  });
  const device = await openDevice(values);
  using interruption = interruptible();
  try {
    const { model, tokenizer, eos } = await openModel(from, device);
    const prompt = text(values, "prompt") ?? startOf(tokenizer);
    const json = values.json === true;
    const write = json ? () => {} : (piece: string) => void process.stdout.write(piece);
    let announced = false;
    // The prompt is shown with the first piece: before that it may still be refused.
    const onText = (piece: string) => {
      write(announced ? piece : prompt + piece);
      announced = true;
    };
    const made = await sample(model, tokenizer, prompt, count, { ...chosen, eos, signal: interruption.signal }, onText);
    if (json) printJson({ text: prompt + made });
    else write(announced ? "\n" : `${prompt}\n`);
    return interruption.signal.aborted ? interruption.status : 0;
  } finally {
    device.close();
  }
}

/** What to begin with where no prompt is given: nothing where a token stands for that, else a new line, or what there is first. */
function startOf(tokenizer: Tokenizer): string {
  if (tokenizer.bos !== undefined) return "";
  try {
    tokenizer.encode("\n");
    return "\n";
  } catch {
    return tokenizer.decode([0]);
  }
}
