import { drop, rename, split } from "@x/checkpoint";
import { TensorError } from "@x/tensor";
import { ConfigReader } from "../config.ts";
import type { TransformerXLConfig } from "./config.ts";

/** Transformer-XL's published names. Query, key and value stand one below the other in qkv_net. */
export const transformerXLNames = rename(
  [
    ["transformer.word_emb.emb_layers.{i}.weight", "embedding.tables.{i}"],
    ["transformer.word_emb.emb_projs.{i}", "embedding.projections.{i}"],
    ["transformer.pos_emb.inv_freq", drop("frequencies of distances, a constant")],
    ["transformer.r_w_bias", "u"],
    ["transformer.r_r_bias", "v"],
    ["transformer.layers.{i}.dec_attn.qkv_net.weight", split("blocks.{i}.attention.{query,key,value}.weight", { axis: 0 })],
    ["transformer.layers.{i}.dec_attn.r_net.weight", "blocks.{i}.attention.distance.weight"],
    ["transformer.layers.{i}.dec_attn.o_net.weight", "blocks.{i}.attention.output.weight"],
    ["transformer.layers.{i}.dec_attn.r_w_bias", "blocks.{i}.attention.u"],
    ["transformer.layers.{i}.dec_attn.r_r_bias", "blocks.{i}.attention.v"],
    ["transformer.layers.{i}.dec_attn.layer_norm.{p}", "blocks.{i}.norm1.{p}"],
    ["transformer.layers.{i}.pos_ff.CoreNet.0.{p}", "blocks.{i}.mlp.input.{p}"],
    ["transformer.layers.{i}.pos_ff.CoreNet.3.{p}", "blocks.{i}.mlp.output.{p}"],
    ["transformer.layers.{i}.pos_ff.layer_norm.{p}", "blocks.{i}.norm2.{p}"],
    ["crit.cluster_weight", "softmax.clusterWeight"],
    ["crit.cluster_bias", "softmax.clusterBias"],
    ["crit.out_layers.{i}.weight", "softmax.weights.{i}"],
    ["crit.out_layers.{i}.bias", "softmax.biases.{i}"],
    ["crit.out_projs.{i}", "softmax.projections.{i}"],
  ],
  { base: "transformer." },
);

/** Our configuration from a published config.json of model_type transfo-xl; missing keys have transformers' defaults, and as there the memory begins as zeros. */
export function transformerXLConfig(json: unknown): TransformerXLConfig {
  const config = new ConfigReader(json, "Transformer-XL");
  config.refuse("attn_type", (value) => value === 0, "attention other than Transformer-XL's own");
  config.refuse("sample_softmax", (value) => Number(value) <= 0, "a sampled softmax");
  config.refuse("ext_len", (value) => value === 0, "an extended context");
  config.refuse("adaptive", (value) => value === true, "a softmax that is not adaptive");
  const dim = config.size("d_model", 1024);
  const numHeads = config.size("n_head", 16);
  const cutoffs = numbers(config.list("cutoffs") ?? [20_000, 40_000, 200_000]);
  const clampLength = config.number("clamp_len", 1000);
  const uniform = config.string("init", "normal") === "uniform";
  const made: TransformerXLConfig = {
    vocabSize: config.optionalSize("vocab_size") ?? config.size("n_token", 267_735),
    dim,
    numLayers: config.size("n_layer", 18),
    numHeads,
    headDim: config.size("d_head", 64),
    hiddenDim: config.size("d_inner", 4096),
    cutoffs,
    embeddingDim: config.size("d_embed", 1024),
    divValue: config.size("div_val", 4),
    tied: config.boolean("tie_word_embeddings", config.boolean("tie_weight", true)),
    tiedProjections: tiedProjections(config, cutoffs.length),
    memoryLength: config.number("mem_len", 1600),
    clampLength: clampLength > 0 ? clampLength : undefined,
    sameLength: config.boolean("same_length", true),
    initMemory: "zeros",
    preNorm: config.boolean("pre_lnorm", false),
    untiedBiases: config.boolean("untie_r", true),
    eps: config.number("layer_norm_epsilon", 1e-5),
    dropout: config.number("dropout", 0.1),
    attentionDropout: config.number("dropatt", 0),
    // A uniform distribution on +-r has the deviation r / sqrt(3).
    initDeviation: uniform ? config.number("init_range", 0.01) / Math.sqrt(3) : config.number("init_std", 0.02),
    projectionDeviation: config.number("proj_init_std", 0.01),
  };
  config.expectNoSlips();
  return made;
}

/** By list, or by the switch that stands for all but the first. */
function tiedProjections(config: ConfigReader, tails: number): boolean[] {
  const share = config.boolean("proj_share_all_but_first", true);
  const list = config.list("tie_projs");
  if (!list) return [false, ...Array.from({ length: tails }, () => share)];
  if (!list.every((value) => typeof value === "boolean"))
    throw new TensorError(`Transformer-XL: tie_projs in config.json must be a list of booleans, got ${JSON.stringify(list)}.`);
  return [...list];
}

function numbers(list: readonly unknown[]): number[] {
  if (!list.every((value) => typeof value === "number"))
    throw new TensorError(`Transformer-XL: cutoffs in config.json must be a list of numbers, got ${JSON.stringify(list)}.`);
  return [...list];
}
