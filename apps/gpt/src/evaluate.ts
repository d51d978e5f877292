import { evaluationWindows } from "@x/data";
import { TensorError } from "@x/tensor";
import { evaluator } from "@x/train";
import { deviceOptions, openDevice } from "./devices.ts";
import { interruptible } from "./interruption.ts";
import { needed, number, parse, printJson } from "./options.ts";
import { openModel } from "./saved-model.ts";
import { loadText } from "./text.ts";

const options = {
  ...deviceOptions,
  from: { type: "string" },
  data: { type: "string" },
  context: { type: "string" },
  batch: { type: "string" },
  json: { type: "boolean" },
} as const;

/** `gpt eval`: the loss of a saved or published model over all consecutive windows of the last tenth of a text. */
export async function evaluate(args: readonly string[]): Promise<number> {
  const values = parse(args, options);
  const from = needed(values, "from", "a run's directory, or a published checkpoint directory");
  const path = needed(values, "data", "a text file");
  const batch = number(values, "batch", { min: 1, whole: true }) ?? 16;
  const asked = number(values, "context", { min: 1, whole: true });
  const device = await openDevice(values);
  using interruption = interruptible();
  try {
    const { model, step, tokenizer, training } = await openModel(from, device);
    const context = asked ?? training?.context ?? Math.min(model.maxLength ?? 256, 256);
    if (context > (model.maxLength ?? Number.POSITIVE_INFINITY))
      throw new TensorError(`--context ${context}: the model of ${from} sees at most ${model.maxLength} tokens.`);
    const { validation } = await loadText(path, () => tokenizer);
    if (validation.length <= context)
      throw new TensorError(
        `--data ${path}: its last tenth has ${validation.length} tokens, but a window takes ${context + 1}. Give a longer text, or a shorter --context.`,
      );
    const valLoss = await evaluator(model, { device })(evaluationWindows({ tokens: validation, batch, context }), interruption);
    if (valLoss === undefined) return interruption.status;
    if (values.json === true) printJson({ step, valLoss });
    else console.log(`Validation loss ${valLoss.toFixed(4)} (perplexity ${Math.exp(valLoss).toFixed(2)}) over windows of ${context}.`);
    return 0;
  } finally {
    device.close();
  }
}
