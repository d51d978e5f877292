import { mkdir } from "node:fs/promises";
import type { Json } from "@x/checkpoint";
import { TensorError } from "@x/tensor";
import { jsonlMetrics, lossCurve, metrics, progress, standardError, tensorBoardMetrics } from "@x/train";
import { openDevice } from "./devices.ts";
import { needed, number, parse, printJson, text } from "./options.ts";
import { type Preset, presets } from "./presets.ts";
import { openModel } from "./saved-model.ts";
import { configOf, session } from "./session.ts";
import { loadText } from "./text.ts";

const options = {
  data: { type: "string" },
  preset: { type: "string" },
  steps: { type: "string" },
  seed: { type: "string" },
  out: { type: "string" },
  resume: { type: "boolean" },
  from: { type: "string" },
  json: { type: "boolean" },
  device: { type: "string" },
  threads: { type: "string" },
  lr: { type: "string" },
  batch: { type: "string" },
  context: { type: "string" },
  dropout: { type: "string" },
  accumulate: { type: "string" },
  "evaluate-every": { type: "string" },
  "save-every": { type: "string" },
  tensorboard: { type: "boolean" },
} as const;

/** `gpt train`: trains on a text file, saves as it goes, and says how to go on when it is interrupted. */
export async function train(args: readonly string[]): Promise<number> {
  const values = parse(args, options);
  const directory = needed(values, "out", "the directory that checkpoints and metrics are written to");
  const path = needed(values, "data", "a text file to train on");
  const json = values.json === true;
  const seed = number(values, "seed", { min: 0, whole: true }) ?? 1;
  const threads = number(values, "threads", { min: 1, whole: true });
  const device = await openDevice(text(values, "device") ?? "wasm", { ...(threads !== undefined && { threads }) });
  const from = text(values, "from");
  const start = from === undefined ? undefined : await openModel(from);
  const preset = withOptions(start?.preset ?? presetNamed(text(values, "preset") ?? "baby"), values);
  const data = await loadText(path, { kind: preset.tokenizer, tokenizer: start?.tokenizer });
  await mkdir(directory, { recursive: true });
  const config = start?.description?.config ?? (start ? undefined : configOf(preset, data.tokenizer));
  const description = {
    config: config as unknown as Json,
    tokenizer: data.tokenizer.toJSON() as unknown as Json,
    preset: preset as unknown as Json,
    seed,
    data: path,
  };
  if (start && !config)
    throw new TensorError(
      `--from ${from}: going on from a published checkpoint is done in code (see the README of @x/models); this command goes on from its own.`,
    );
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once("SIGINT", onSignal);
  process.once("SIGTERM", onSignal);
  const resume = values.resume === true;
  const shown = progress({ total: preset.steps, stream: json ? undefined : standardError() });
  const saveEvery = number(values, "save-every", { min: 1, whole: true });
  const run = session({
    preset,
    seed,
    data,
    device,
    directory,
    description,
    progress: shown,
    signal: stop.signal,
    model: start?.model,
    ...(saveEvery !== undefined && { checkpointEvery: saveEvery }),
    ...(json && {
      onStep: ({ step, loss, lr, tokensPerSecond }) => printJson({ step, loss, lr, tokensPerSecond }),
      onEvaluation: (record) => printJson(record),
    }),
  });
  void metrics;
  void jsonlMetrics;
  void tensorBoardMetrics;
  if (resume && !(await run.trainer.resume()) && !json) console.error(`${directory} has no checkpoint yet: starting from the beginning.`);
  try {
    const result = await run.trainer.train();
    if (!json) report(result, directory, args);
    return result.interrupted ? 130 : 0;
  } finally {
    process.removeListener("SIGINT", onSignal);
    process.removeListener("SIGTERM", onSignal);
    device.close();
  }
}

function report(
  result: Awaited<ReturnType<ReturnType<typeof session>["trainer"]["train"]>>,
  directory: string,
  args: readonly string[],
): void {
  if (result.losses.length > 1) console.error(lossCurve(result.losses));
  if (result.valLoss !== undefined) console.error(`Validation loss ${result.valLoss.toFixed(4)} at step ${result.step}.`);
  if (result.interrupted)
    console.error(
      `Interrupted at step ${result.step}. Saved to ${result.checkpoint ?? directory}.\nResume with: pnpm gpt train ${[...args.filter((arg) => arg !== "--resume"), "--resume"].join(" ")}`,
    );
  else if (result.checkpoint)
    console.error(`Saved to ${result.checkpoint}. Sample with: pnpm gpt generate --from ${directory} --prompt "..." --tokens 200`);
}

export function presetNamed(name: string): Preset {
  const preset = presets[name];
  if (!preset) throw new TensorError(`--preset: there is no preset "${name}"; there are ${Object.keys(presets).join(", ")}.`);
  return preset;
}

function withOptions(preset: Preset, values: ReturnType<typeof parse>): Preset {
  const whole = { min: 1, whole: true };
  const given = {
    steps: number(values, "steps", whole),
    lr: number(values, "lr", { min: 0 }),
    batch: number(values, "batch", whole),
    context: number(values, "context", whole),
    dropout: number(values, "dropout", { min: 0 }),
    accumulate: number(values, "accumulate", whole),
    evaluateEvery: number(values, "evaluate-every", whole),
  };
  return { ...preset, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
}
