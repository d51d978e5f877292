import { redrawProjections } from "@x/attention-linear";
import { Decoder } from "@x/models/decoder";
import type { ModelParts } from "../model-parts.ts";
import type { Preset } from "../presets.ts";
import type { PlayModel } from "./families.ts";

/** A model of a preset's size with other parts than GPT-2's. In a file of its own, which is loaded where one is chosen. */
export function decoder(preset: Preset, parts: ModelParts, vocabSize: number): PlayModel {
  const { numLayers, numHeads, dim, training } = preset;
  const { context, dropout } = training;
  const model = new Decoder({ vocabSize, maxLength: context, dim, numLayers, numHeads, dropout, activation: "gelu", ...parts });
  return {
    model,
    weightsAt: (tokens, layer) => model.attentionWeights(tokens, layer),
    patternAt: (layer) => model.pattern(layer),
    beforeStep: model.config.mixer === "performer" ? () => void redrawProjections(model) : undefined,
    blockSize: model.config.mixer === "bigbird" ? model.config.blockSize : undefined,
  };
}
