import { drop, rename } from "@x/checkpoint";
import type { RopeScaling } from "@x/posenc";
import { TensorError } from "@x/tensor";
import { ConfigReader, type PublishedConfig } from "../config.ts";
import type { LlamaConfig } from "./llama.ts";

/** The Llama family's published names: Llama, Mistral, Qwen2 and Qwen3 share them. */
export const llamaNames = rename(
  [
    ["model.embed_tokens.weight", "tokens.weight"],
    ["model.layers.{i}.input_layernorm.weight", "layers.{i}.norm1.weight"],
    ["model.layers.{i}.self_attn.q_proj.{p}", "layers.{i}.attention.query.{p}"],
    ["model.layers.{i}.self_attn.k_proj.{p}", "layers.{i}.attention.key.{p}"],
    ["model.layers.{i}.self_attn.v_proj.{p}", "layers.{i}.attention.value.{p}"],
    ["model.layers.{i}.self_attn.o_proj.{p}", "layers.{i}.attention.output.{p}"],
    ["model.layers.{i}.self_attn.q_norm.weight", "layers.{i}.attention.queryNorm.weight"],
    ["model.layers.{i}.self_attn.k_norm.weight", "layers.{i}.attention.keyNorm.weight"],
    ["model.layers.{i}.self_attn.rotary_emb.inv_freq", drop("rotary frequencies, a constant of older files")],
    ["model.layers.{i}.post_attention_layernorm.weight", "layers.{i}.norm2.weight"],
    ["model.layers.{i}.mlp.gate_proj.{p}", "layers.{i}.mlp.gate.{p}"],
    ["model.layers.{i}.mlp.up_proj.{p}", "layers.{i}.mlp.up.{p}"],
    ["model.layers.{i}.mlp.down_proj.{p}", "layers.{i}.mlp.down.{p}"],
    ["model.norm.weight", "norm.weight"],
    ["lm_head.weight", "head.weight"],
  ],
  { base: "model." },
);

/** What differs between the families where config.json is silent. */
interface Defaults {
  readonly vocabSize: number;
  readonly hiddenDim: number;
  readonly numKvHeads?: number;
  readonly headDim?: number;
  readonly maxLength: number;
}
const families: Readonly<Record<string, Defaults>> = {
  llama: { vocabSize: 32000, hiddenDim: 11008, maxLength: 2048 },
  mistral: { vocabSize: 32000, hiddenDim: 14336, numKvHeads: 8, maxLength: 131072 },
  qwen2: { vocabSize: 151936, hiddenDim: 22016, numKvHeads: 32, maxLength: 32768 },
  qwen3: { vocabSize: 151936, hiddenDim: 22016, numKvHeads: 32, headDim: 128, maxLength: 32768 },
};

/** Our configuration from a published config.json of model_type llama, mistral, qwen2 or qwen3; missing keys have transformers' defaults. */
export function llamaConfig(json: unknown): LlamaConfig {
  const config = new ConfigReader(json, "Llama");
  const family = config.string("model_type", "llama");
  const defaults = Object.hasOwn(families, family) ? families[family] : undefined;
  if (!defaults) throw new TensorError(`Llama: model_type in config.json is "${family}"; known are ${Object.keys(families).join(", ")}.`);
  const dim = config.size("hidden_size", 4096);
  const numHeads = config.size("num_attention_heads", 32);
  const headDim = config.optionalSize("head_dim") ?? defaults.headDim ?? dim / numHeads;
  const maxLength = config.size("max_position_embeddings", defaults.maxLength);
  const attentionBias = family === "qwen2" || config.boolean("attention_bias", false);
  const rope = ropeOf(config, maxLength);
  const numLayers = config.size("num_hidden_layers", 32);
  const made: LlamaConfig = {
    vocabSize: config.size("vocab_size", defaults.vocabSize),
    maxLength: stretched(maxLength, rope.scaling),
    dim,
    numHeads,
    numKvHeads: config.optionalSize("num_key_value_heads") ?? defaults.numKvHeads ?? numHeads,
    headDim,
    numLayers,
    hiddenDim: config.size("intermediate_size", defaults.hiddenDim),
    eps: config.number("rms_norm_eps", 1e-6),
    activation: config.activation("hidden_act", "silu"),
    ropeBase: rope.base,
    ropeScaling: rope.scaling,
    attentionBias,
    outputBias: family !== "qwen2" && attentionBias,
    mlpBias: family === "llama" && config.boolean("mlp_bias", false),
    attentionDropout: config.number("attention_dropout", 0),
    queryKeyNorm: family === "qwen3",
    ...windowsOf(config, family, numLayers),
    tied: config.boolean("tie_word_embeddings", false),
  };
  config.expectNoSlips();
  return made;
}

/**
 * Sliding windows: Mistral's in every layer (null: none), Qwen's where use_sliding_window is set, from layer max_window_layers on; layer_types, where a file has them, say it of each layer.
 */
function windowsOf(config: ConfigReader, family: string, numLayers: number): Pick<LlamaConfig, "window" | "windowedLayers"> {
  const types = config.list("layer_types");
  const isMistral = family === "mistral";
  const used = config.boolean("use_sliding_window", isMistral);
  const window = config.has("sliding_window") ? config.optionalSize("sliding_window") : 4096;
  const first = config.number("max_window_layers", 28);
  if (types) {
    const odd = types.find((type) => type !== "full_attention" && type !== "sliding_attention");
    if (odd !== undefined || types.length !== numLayers)
      throw new TensorError(
        `Llama: layer_types in config.json must be ${numLayers} of "full_attention" and "sliding_attention", got ${JSON.stringify(types)}.`,
      );
    const windowedLayers = types.map((type) => type === "sliding_attention");
    if (!windowedLayers.includes(true)) return {};
    if (window === undefined) throw new TensorError("Llama: layer_types in config.json has sliding_attention, which needs sliding_window.");
    return { window, windowedLayers };
  }
  if (family === "llama" || !used || window === undefined) return {};
  if (isMistral) return { window };
  const windowedLayers = Array.from({ length: numLayers }, (_, i) => i >= first);
  return windowedLayers.includes(true) ? { window, windowedLayers } : {};
}

/** Version 5 files nest everything in rope_parameters; version 4 has rope_theta beside rope_scaling, with `type` or `rope_type`. */
function ropeOf(config: ConfigReader, maxLength: number): { base: number; scaling: RopeScaling } {
  const nested = config.record("rope_parameters");
  const raw = nested ?? config.record("rope_scaling") ?? {};
  const inner = new ConfigReader(raw, "Llama rope");
  const base = nested ? inner.number("rope_theta", config.number("rope_theta", 10_000)) : config.number("rope_theta", 10_000);
  return { base, scaling: scalingOf(inner, raw, maxLength) };
}

/** Files whose rotation is scaled by "linear" (Vicuna) or "yarn" (Qwen2.5) may leave max_position_embeddings at the original length, though they serve `factor` times that. */
function stretched(maxLength: number, scaling: RopeScaling): number {
  if (scaling.type === "linear") return Math.max(maxLength, Math.floor(maxLength * scaling.factor));
  if (scaling.type === "yarn") return Math.max(maxLength, Math.floor(scaling.originalMaxLength * scaling.factor));
  return maxLength;
}

function scalingOf(rope: ConfigReader, raw: PublishedConfig, maxLength: number): RopeScaling {
  const type = rope.string("rope_type", rope.string("type", "default"));
  const factor = () => {
    if (raw.factor == null) throw new TensorError(`Llama: rope scaling "${type}" in config.json needs a factor.`);
    return rope.number("factor", 1);
  };
  const factors = (key: string) => {
    const list = rope.list(key);
    if (!list?.every((value) => typeof value === "number"))
      throw new TensorError(`Llama: rope scaling "${type}" in config.json needs ${key}, a list of numbers.`);
    return list as readonly number[];
  };
  const originalMaxLength = rope.number("original_max_position_embeddings", maxLength);
  switch (type) {
    case "default":
      return { type };
    case "linear":
      return { type, factor: factor() };
    case "dynamic":
      return { type, factor: factor(), originalMaxLength: maxLength };
    case "llama3":
      return {
        type,
        factor: factor(),
        lowFactor: rope.number("low_freq_factor", 1),
        highFactor: rope.number("high_freq_factor", 4),
        originalMaxLength,
      };
    case "yarn":
      return {
        type,
        factor: factor(),
        originalMaxLength,
        betaFast: rope.number("beta_fast", 32),
        betaSlow: rope.number("beta_slow", 1),
        attentionFactor: rope.optional("attention_factor"),
        mscale: rope.optional("mscale"),
        mscaleAllDim: rope.optional("mscale_all_dim"),
        truncate: rope.boolean("truncate", true),
      };
    case "longrope":
      return {
        type,
        shortFactors: factors("short_factor"),
        longFactors: factors("long_factor"),
        originalMaxLength,
        factor: originalMaxLength < maxLength ? maxLength / originalMaxLength : rope.number("factor", 1),
        attentionFactor: rope.optional("attention_factor"),
      };
    default:
      throw new TensorError(
        `Llama: rope type "${type}" in config.json is not supported; known are default, linear, dynamic, llama3, yarn, longrope.`,
      );
  }
}
