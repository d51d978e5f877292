import type { SelfAttention } from "@x/attention";
import { GPT2 } from "@x/models/gpt2";
import type { CausalLM, Module } from "@x/nn";
import type { Tensor } from "@x/tensor";
import type { Preset } from "../presets.ts";

/** A model with what the page wants to see of it. */
export interface PlayModel {
  readonly model: Module & CausalLM;
  /** The attention of a layer and what enters it, for tokens i32 [1, length]: x [1, length, dim]. */
  attentionAt(tokens: Tensor, layer: number): { readonly attention: SelfAttention; readonly x: Tensor };
}

/** How the models of each family are made: a row for each kind of model that the page can train. */
export const families: Readonly<Record<Preset["family"], (preset: Preset, vocabSize: number) => PlayModel>> = {
  gpt({ numLayers, numHeads, dim, training: { context, dropout } }, vocabSize) {
    const model = new GPT2({ vocabSize, maxLength: context, dim, numLayers, numHeads, dropout, activation: "gelu" });
    return {
      model,
      attentionAt(tokens, layer) {
        const { norm1, attention } = model.blocks[layer]!;
        return { attention, x: norm1.forward(model.hiddenStates(tokens)[layer]!) };
      },
    };
  },
};
