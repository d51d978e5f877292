import { evaluationWindows } from "@x/data";
import { evaluator } from "@x/train";
import { openDevice } from "./devices.ts";
import { needed, number, parse, printJson, text } from "./options.ts";
import { openModel } from "./saved-model.ts";
import { loadText } from "./text.ts";

/** `gpt eval`: the loss of a saved or published model over all consecutive windows of the last tenth of a text. */
export async function evaluate(args: readonly string[]): Promise<number> {
  const values = parse(args, {
    from: { type: "string" },
    data: { type: "string" },
    context: { type: "string" },
    batch: { type: "string" },
    device: { type: "string" },
    threads: { type: "string" },
    json: { type: "boolean" },
  });
  const from = needed(values, "from", "a run's directory, or a published checkpoint directory");
  const path = needed(values, "data", "a text file");
  const threads = number(values, "threads", { min: 1, whole: true });
  const device = await openDevice(text(values, "device") ?? "wasm", { ...(threads !== undefined && { threads }) });
  try {
    const { model, tokenizer, preset } = await openModel(from);
    const { validation } = await loadText(path, { kind: "characters", tokenizer });
    const context = number(values, "context", { min: 1, whole: true }) ?? preset?.context ?? Math.min(model.maxLength ?? 256, 256);
    const valLoss = await evaluator(model)(
      evaluationWindows({ tokens: validation, batch: number(values, "batch", { min: 1, whole: true }) ?? 16, context }),
    );
    if (values.json === true) printJson({ valLoss });
    else console.log(`Validation loss ${valLoss.toFixed(4)} (perplexity ${Math.exp(valLoss).toFixed(2)}) over windows of ${context}.`);
    return 0;
  } finally {
    device.close();
  }
}
