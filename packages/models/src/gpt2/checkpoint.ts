import { drop, rename, split, transpose } from "@x/checkpoint";
import { ConfigReader } from "../config.ts";
import type { GPT2Config } from "./gpt2.ts";

/** GPT-2's published names. Its linear layers are stored [in, out], so every weight is transposed; query, key and value stand side by side in c_attn. */
export const gpt2Names = rename(
  [
    ["transformer.wte.weight", "tokens.weight"],
    ["transformer.wpe.weight", "positions.weight"],
    ["transformer.h.{i}.ln_1.{p}", "blocks.{i}.norm1.{p}"],
    ["transformer.h.{i}.attn.c_attn.weight", split("blocks.{i}.attention.{query,key,value}.weight", { axis: 1, andThen: transpose })],
    ["transformer.h.{i}.attn.c_attn.bias", split("blocks.{i}.attention.{query,key,value}.bias", { axis: 0 })],
    ["transformer.h.{i}.attn.c_proj.weight", transpose("blocks.{i}.attention.output.weight")],
    ["transformer.h.{i}.attn.c_proj.bias", "blocks.{i}.attention.output.bias"],
    ["transformer.h.{i}.attn.bias", drop("the causal mask, a constant of older files")],
    ["transformer.h.{i}.attn.masked_bias", drop("the masked score, a constant of older files")],
    ["transformer.h.{i}.ln_2.{p}", "blocks.{i}.norm2.{p}"],
    ["transformer.h.{i}.mlp.c_fc.weight", transpose("blocks.{i}.mlp.input.weight")],
    ["transformer.h.{i}.mlp.c_fc.bias", "blocks.{i}.mlp.input.bias"],
    ["transformer.h.{i}.mlp.c_proj.weight", transpose("blocks.{i}.mlp.output.weight")],
    ["transformer.h.{i}.mlp.c_proj.bias", "blocks.{i}.mlp.output.bias"],
    ["transformer.ln_f.{p}", "norm.{p}"],
    ["lm_head.weight", "head.weight"],
  ],
  { base: "transformer." },
);

/** Our configuration from a published config.json of model_type gpt2; missing keys have transformers' defaults. */
export function gpt2Config(json: unknown): GPT2Config {
  const config = new ConfigReader(json, "GPT-2");
  config.refuse("add_cross_attention", (value) => value === false, "cross-attention in GPT-2");
  const dim = config.size("n_embd", 768);
  const numHeads = config.size("n_head", 12);
  const scaled = config.boolean("scale_attn_weights", true);
  const byLayer = config.boolean("scale_attn_by_inverse_layer_idx", false);
  const base = scaled ? 1 / Math.sqrt(dim / numHeads) : 1;
  const made: GPT2Config = {
    vocabSize: config.size("vocab_size", 50257),
    maxLength: config.size("n_positions", 1024),
    dim,
    numHeads,
    numLayers: config.size("n_layer", 12),
    hiddenDim: config.optionalSize("n_inner") ?? 4 * dim,
    eps: config.number("layer_norm_epsilon", 1e-5),
    activation: config.activation("activation_function", "gelu_new"),
    dropout: config.number("resid_pdrop", 0.1),
    embeddingDropout: config.number("embd_pdrop", 0.1),
    attentionDropout: config.number("attn_pdrop", 0.1),
    tied: config.boolean("tie_word_embeddings", true),
    scale: (layer) => (byLayer ? base / (layer + 1) : base),
  };
  config.expectNoSlips();
  return made;
}
