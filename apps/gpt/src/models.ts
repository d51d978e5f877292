import type { Json } from "@x/checkpoint";
import { families } from "@x/models";
import { Decoder, type DecoderConfig, decoderConfig } from "@x/models/decoder";
import { GPT2, type GPT2Config } from "@x/models/gpt2";
import type { CausalLM, Module } from "@x/nn";
import { type Device, Generator, TensorError, withGenerator } from "@x/tensor";
import type { Preset } from "./presets.ts";

export type Model = Module & CausalLM;

/** How to make a model again: our own configuration, or a published config.json with what its weights said beyond it. All JSON. */
export type ModelDescription =
  | { readonly kind: "gpt"; readonly config: Omit<GPT2Config, "scale"> }
  | { readonly kind: "decoder"; readonly config: DecoderConfig }
  | { readonly kind: "published"; readonly config: Readonly<Record<string, unknown>>; readonly tied: boolean };

/** The parts of a model that is not GPT-2's. */
export type Parts = Partial<Pick<DecoderConfig, "mixer" | "position" | "norm" | "residual" | "numKvHeads" | "window" | "blockSize">>;

/** A new model of a preset: GPT-2's blocks, or a decoder of the parts that are named. */
export const describeNew = (preset: Preset, vocabSize: number, parts: Parts = {}): ModelDescription => {
  const { numLayers, numHeads, dim, context, dropout, bias } = preset;
  const config = { vocabSize, maxLength: context, dim, numLayers, numHeads, dropout, bias, activation: "gelu" } as const;
  if (Object.keys(parts).length === 0) return { kind: "gpt", config };
  // Refuses what does not fit together, before anything is written.
  decoderConfig({ ...config, ...parts });
  return { kind: "decoder", config: { ...config, ...parts } };
};

/** The model of a description, drawn from the seed: the same on every device. */
export function makeModel(description: ModelDescription, { seed, device }: { readonly seed: number; readonly device: Device }): Model {
  return withGenerator(new Generator({ seed, device }), () => {
    if (description.kind === "gpt") return new GPT2(description.config);
    if (description.kind === "decoder") return new Decoder(description.config);
    const family = families[String(description.config.model_type)];
    if (!family)
      throw new TensorError(`There is no model family "${description.config.model_type}"; there are ${Object.keys(families).join(", ")}.`);
    return family.create(description.config, description.tied ? {} : { tied: false });
  });
}

/** The same model with another dropout; undefined leaves it as it is. */
export function withDropout(description: ModelDescription, dropout: number | undefined): ModelDescription {
  if (dropout === undefined) return description;
  if (description.kind === "gpt") return { ...description, config: { ...description.config, dropout } };
  if (description.kind === "decoder") return { ...description, config: { ...description.config, dropout } };
  throw new TensorError("--dropout: a published model is trained with the dropout that its config.json says. Leave the option out.");
}

/** What a checkpoint of ours says of the run that wrote it. */
export interface RunDescription {
  readonly model: ModelDescription;
  readonly tokenizer: Json;
  readonly training: Json;
  readonly seed: number;
  readonly data: string;
}
