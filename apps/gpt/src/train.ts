import { openTraining } from "@x/checkpoint";
import { tokenizerFromJSON } from "@x/data";
import { mixers, norms, positions, residuals } from "@x/models/decoder";
import { type Device, TensorError } from "@x/tensor";
import { progress, standardError } from "@x/train";
import { deviceOptions, openDevice } from "./devices.ts";
import { describeNew, type ModelDescription, type Parts, type RunDescription, withDropout } from "./models.ts";
import { choice, given, needed, number, parse, printJson, text, type Values } from "./options.ts";
import { type Preset, presets, type Training } from "./presets.ts";
import { report, trainIn } from "./run.ts";
import { describeRun, openModel, type SavedModel } from "./saved-model.ts";
import { expectWindow, loadText, newTokenizer, type TextData } from "./text.ts";

/** What a new model is made of. */
const partOptions = {
  mixer: { type: "string" },
  position: { type: "string" },
  norm: { type: "string" },
  residual: { type: "string" },
  "heads-kv": { type: "string" },
  window: { type: "string" },
  "block-size": { type: "string" },
} as const;

const options = {
  ...deviceOptions,
  ...partOptions,
  data: { type: "string" },
  preset: { type: "string" },
  steps: { type: "string" },
  seed: { type: "string" },
  out: { type: "string" },
  resume: { type: "boolean" },
  from: { type: "string" },
  json: { type: "boolean" },
  lr: { type: "string" },
  warmup: { type: "string" },
  batch: { type: "string" },
  context: { type: "string" },
  dropout: { type: "string" },
  accumulate: { type: "string" },
  precision: { type: "string" },
  "evaluate-every": { type: "string" },
  "save-every": { type: "string" },
} as const;

/** `gpt train`: trains on a text file, saves as it goes, and says how to go on when it is interrupted. */
export async function train(args: readonly string[]): Promise<number> {
  const values = parse(args, options);
  const directory = needed(values, "out", "the directory that checkpoints and metrics are written to");
  const earlier = await earlierRun(directory, values.resume === true);
  const dataName = text(values, "data") ?? earlier?.data ?? needed(values, "data", "a text file to train on");
  const seed = number(values, "seed", { min: 0, max: 2 ** 32 - 1, whole: true }) ?? earlier?.seed ?? 1;
  const saveEvery = number(values, "save-every", { min: 1, whole: true });
  const device = await openDevice(values);
  try {
    const plan = await planned(values, dataName, earlier, device);
    expectWindow(dataName, plan.data, plan.training.context);
    const json = values.json === true;
    const result = await trainIn({
      ...plan,
      seed,
      dataName,
      device,
      directory,
      saveEvery,
      resume: values.resume === true,
      progress: progress({ total: plan.training.steps, stream: json ? undefined : standardError() }),
      onStep: json ? ({ step, loss, lr, tokensPerSecond }) => printJson({ step, loss, lr, tokensPerSecond }) : undefined,
      onEvaluation: json ? (record) => printJson({ ...record }) : undefined,
    });
    if (!json || result.interrupted) report(json ? { ...result, losses: [] } : result, directory, console.error);
    return result.status;
  } finally {
    device.close();
  }
}

/** The run whose checkpoints are in the directory, to go on with. Without `resume` there must be none: a new run would push its checkpoints out. */
async function earlierRun(directory: string, resume: boolean): Promise<RunDescription | undefined> {
  if (resume) return describeRun(directory);
  const opened = await openTraining(directory);
  if (!opened) return undefined;
  await opened.close();
  throw new TensorError(
    `--out ${directory}: already holds a run, at step ${opened.step}. Add --resume to go on with it, or choose another directory; --from ${directory} begins a new run from its weights.`,
  );
}

interface Plan {
  readonly training: Training;
  readonly description: ModelDescription;
  readonly model?: SavedModel["model"];
  readonly data: TextData;
}

/** Model, data and schedule: of the run that is resumed, of the checkpoint that is gone on from, or new. Options replace single entries. */
async function planned(values: Values, path: string, earlier: RunDescription | undefined, device: Device): Promise<Plan> {
  const from = text(values, "from");
  const named = text(values, "preset");
  const dropout = number(values, "dropout", { min: 0, max: 1 });
  const parts = partsOf(values);
  const [part] = Object.keys(partOptions).filter((name) => values[name] !== undefined);
  if (part !== undefined && (earlier || from !== undefined))
    throw new TensorError(
      `--${part}: the model is that of ${earlier ? "the run" : from}, with its own parts. Leave the option out, or begin a new run.`,
    );
  if (earlier) {
    const tokenizer = tokenizerFromJSON(earlier.tokenizer as unknown as Parameters<typeof tokenizerFromJSON>[0]);
    const before = earlier.training as unknown as Training;
    const training = withOptions(named === undefined ? before : presetNamed(named), values);
    return { training, description: withDropout(earlier.model, dropout), data: await loadText(path, () => tokenizer) };
  }
  if (from !== undefined) {
    const { model, description, tokenizer, training: before } = await openModel(from, device, dropout);
    const base = before ?? { ...presetNamed("baby"), context: Math.min(model.maxLength ?? 256, 256), lr: 1e-4, minLr: 1e-5 };
    const training = withOptions(named === undefined ? base : presetNamed(named), values);
    if (training.context > (model.maxLength ?? Number.POSITIVE_INFINITY))
      throw new TensorError(`--context ${training.context}: the model of ${from} sees at most ${model.maxLength} tokens.`);
    return { training, description, model, data: await loadText(path, () => tokenizer) };
  }
  const preset = withOptions(presetNamed(named ?? "baby"), values);
  const data = await loadText(path, newTokenizer(preset.tokenizer));
  return { training: preset, description: describeNew(preset, data.tokenizer.vocabSize, parts), data };
}

function partsOf(values: Values): Parts {
  const whole = { min: 1, whole: true };
  return given({
    mixer: choice(values, "mixer", mixers),
    position: choice(values, "position", positions),
    norm: choice(values, "norm", norms),
    residual: choice(values, "residual", residuals),
    numKvHeads: number(values, "heads-kv", whole),
    window: number(values, "window", whole),
    blockSize: number(values, "block-size", whole),
  });
}

function presetNamed(name: string): Preset {
  const preset = presets.get(name);
  if (!preset) throw new TensorError(`--preset: there is no preset "${name}"; there are ${[...presets.keys()].join(", ")}.`);
  return preset;
}

function withOptions<T extends Training>(training: T, values: Values): T {
  const whole = { min: 1, whole: true };
  const lr = number(values, "lr", { min: 0 });
  return {
    ...training,
    ...given({
      steps: number(values, "steps", whole),
      lr,
      minLr: lr === undefined ? undefined : lr * (training.minLr / training.lr),
      warmup: number(values, "warmup", { min: 0, whole: true }),
      batch: number(values, "batch", whole),
      context: number(values, "context", whole),
      dropout: number(values, "dropout", { min: 0, max: 1 }),
      accumulate: number(values, "accumulate", whole),
      evaluateEvery: number(values, "evaluate-every", whole),
      precision: choice(values, "precision", ["f32", "f16", "bf16"]),
    }),
  };
}
