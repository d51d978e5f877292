import { openTraining, readJson } from "@x/checkpoint";
import { loadTokenizer, type Tokenizer, tokenizerFromJSON } from "@x/data";
import { fromPretrained } from "@x/models";
import { loadStateDict } from "@x/nn";
import { type Device, TensorError } from "@x/tensor";
import { type Model, type ModelDescription, makeModel, type RunDescription, withDropout } from "./models.ts";
import type { Training } from "./presets.ts";

export interface SavedModel {
  readonly model: Model;
  /** Steps it was trained for; 0 for a published one. */
  readonly step: number;
  readonly description: ModelDescription;
  readonly tokenizer: Tokenizer;
  /** How it was trained, where it is a checkpoint of ours. */
  readonly training: Training | undefined;
  /** End tokens of a published model. */
  readonly eos: readonly number[];
}

/** A model from a run's directory, or from a published checkpoint directory (config.json, safetensors, tokenizer.json); with another dropout, if given. */
export async function openModel(directory: string, device: Device, dropout?: number): Promise<SavedModel> {
  const config = await readJson(`${directory}/config.json`).catch((error: Error) => {
    if (/ENOENT|does not exist/.test(error.message)) return undefined;
    throw error;
  });
  return config ? openPublished(directory, config, dropout) : openOurs(directory, device, dropout);
}

async function openPublished(
  directory: string,
  config: Readonly<Record<string, unknown>>,
  dropout: number | undefined,
): Promise<SavedModel> {
  const tokenizer = await loadTokenizer(directory);
  const { model } = await fromPretrained(directory);
  const tied = !model.namedParameters().has("head.weight");
  const generation = await readJson(`${directory}/generation_config.json`).catch(() => ({}) as Readonly<Record<string, unknown>>);
  const eos = generation.eos_token_id ?? config.eos_token_id ?? [];
  const description = withDropout({ kind: "published", config, tied }, dropout);
  return { model, step: 0, description, tokenizer, training: undefined, eos: [eos].flat() as number[] };
}

async function openOurs(directory: string, device: Device, dropout: number | undefined): Promise<SavedModel> {
  const opened = await openTraining(directory);
  if (!opened)
    throw new TensorError(
      `${directory}: holds no checkpoint: neither one of ours (step-...), nor a published one (config.json). Look at the path.`,
    );
  try {
    const { model: described, tokenizer, training } = describedRun(opened.json, opened.path);
    const description = withDropout(described, dropout);
    const model = makeModel(description, { seed: 0, device });
    const weights = opened.readers.model;
    const state = new Map<string, { readonly shape: readonly number[]; readonly values: ArrayLike<number> }>();
    for (const [name, { shape }] of weights?.tensors ?? []) state.set(name, { shape, values: await weights!.values(name) });
    loadStateDict(model, state);
    const restored = tokenizerFromJSON(tokenizer as unknown as Parameters<typeof tokenizerFromJSON>[0]);
    return { model, step: opened.step, description, tokenizer: restored, training: training as unknown as Training, eos: [] };
  } finally {
    await opened.close();
  }
}

/** What the run in `directory` was begun with; undefined where it has no checkpoint. */
export async function describeRun(directory: string): Promise<RunDescription | undefined> {
  const opened = await openTraining(directory);
  if (!opened) return undefined;
  await opened.close();
  return describedRun(opened.json, opened.path);
}

function describedRun(json: unknown, path: string): RunDescription {
  const description = (json as { trainer?: { description?: RunDescription } }).trainer?.description;
  if (description?.model) return description;
  throw new TensorError(`${path}: is a checkpoint of another program: it does not say what model it holds.`);
}
