import { GPT2 } from "@x/models/gpt2";
import type { CausalLM, Module } from "@x/nn";
import { causal, type Pattern } from "@x/ops";
import type { Tensor } from "@x/tensor";
import type { ModelParts } from "../model-parts.ts";
import type { Preset } from "../presets.ts";

/** A model with what the page wants to see of it. */
export interface PlayModel {
  readonly model: Module & CausalLM;
  /** What each head of a layer weighs, for tokens i32 [1, length]: [1, numHeads, length, length], row i for position i. */
  weightsAt(tokens: Tensor, layer: number): Tensor;
  /** Who may look at whom in a layer. */
  patternAt(layer: number): Pattern;
  /** Positions in a block, where the pattern is made of blocks. */
  readonly blockSize?: number | undefined;
  /** To be called before each step of training, under its generator. */
  readonly beforeStep?: (() => void) | undefined;
}

export type MakeModel = (preset: Preset, vocabSize: number) => PlayModel;

/** How the models of each family are made: a row for each kind of model that the page can train. What other parts need is loaded with them. */
export const families: Readonly<Record<Preset["family"], (parts: ModelParts) => Promise<MakeModel>>> = {
  async gpt(parts) {
    if (Object.keys(parts).length === 0) return gpt2;
    const { decoder } = await import("./decoder.ts");
    return (preset, vocabSize) => decoder(preset, parts, vocabSize);
  },
};

function gpt2({ numLayers, numHeads, dim, training: { context, dropout } }: Preset, vocabSize: number): PlayModel {
  const model = new GPT2({ vocabSize, maxLength: context, dim, numLayers, numHeads, dropout, activation: "gelu" });
  return {
    model,
    weightsAt(tokens, layer) {
      const { norm1, attention } = model.blocks[layer]!;
      return attention.weights(norm1.forward(model.hiddenStates(tokens)[layer]!));
    },
    patternAt: causal,
  };
}
