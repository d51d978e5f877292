import { openTraining, readJson } from "@x/checkpoint";
import { loadTokenizer, type Tokenizer, tokenizerFromJSON } from "@x/data";
import { fromPretrained, GPT2, type GPT2Config } from "@x/models";
import { type CausalLM, loadStateDict, type Module } from "@x/nn";
import { TensorError } from "@x/tensor";
import type { Preset } from "./presets.ts";

export interface SavedModel {
  readonly model: Module & CausalLM;
  readonly tokenizer: Tokenizer;
  /** How it was trained, where it is a checkpoint of ours. */
  readonly preset: Preset | undefined;
  readonly description: Description | undefined;
  /** End tokens of a published model. */
  readonly eos: readonly number[];
}

/** What our checkpoints say of the model in them. */
export interface Description {
  readonly config: GPT2Config;
  readonly tokenizer: Parameters<typeof tokenizerFromJSON>[0];
  readonly preset: Preset;
  readonly seed: number;
  readonly data: string;
}

/** A model from a run's directory, or from a published checkpoint directory (config.json, safetensors, tokenizer.json). */
export async function openModel(directory: string): Promise<SavedModel> {
  const published = await readJson(`${directory}/config.json`).catch(() => undefined);
  if (published) {
    const { model } = await fromPretrained(directory);
    return {
      model,
      tokenizer: await loadTokenizer(directory),
      preset: undefined,
      description: undefined,
      eos: await endTokens(directory, published),
    };
  }
  const opened = await openTraining(directory).catch((cause: unknown) => {
    throw new TensorError(
      `${directory}: is neither a run's directory nor a published checkpoint (no config.json). ${(cause as Error).message}`,
      { cause },
    );
  });
  if (!opened) throw new TensorError(`${directory}: has no checkpoint of ours, and no config.json of a published one.`);
  try {
    const { trainer } = opened.json as unknown as { trainer: { description: Description } };
    const { config, tokenizer, preset } = trainer.description;
    const model = new GPT2(config);
    const state = new Map<string, { shape: readonly number[]; values: ArrayLike<number> }>();
    const weights = opened.readers.model!;
    for (const [name, { shape }] of weights.tensors) state.set(name, { shape, values: await weights.values(name) });
    loadStateDict(model, state);
    return { model, tokenizer: tokenizerFromJSON(tokenizer), preset, description: trainer.description, eos: [] };
  } finally {
    await opened.close();
  }
}

async function endTokens(directory: string, config: Readonly<Record<string, unknown>>): Promise<readonly number[]> {
  const generation = await readJson(`${directory}/generation_config.json`).catch(() => ({}) as Readonly<Record<string, unknown>>);
  const eos = generation.eos_token_id ?? config.eos_token_id;
  return eos == null ? [] : ([eos].flat() as number[]);
}
