import { reference, withDevice } from "@x/tensor";
import { describe, expect, test } from "vitest";
import { GPT2, gpt2Config, llamaConfig } from "../src/index.ts";

describe("gpt2", () => {
  test("an empty configuration is GPT-2 small", () => {
    const { scale, ...config } = gpt2Config({});
    expect(config).toEqual({
      vocabSize: 50257,
      ...{ dropout: 0.1, embeddingDropout: 0.1, attentionDropout: 0.1 },
      maxLength: 1024,
      dim: 768,
      numHeads: 12,
      numLayers: 12,
      hiddenDim: 3072,
      eps: 1e-5,
      activation: "geluTanh",
      tied: true,
    });
    expect([scale!(0), scale!(5)]).toEqual([1 / 8, 1 / 8]);
  });

  test("the three probabilities of dropout are read, and act where they belong", () => {
    const config = gpt2Config({ resid_pdrop: 0.2, embd_pdrop: 0, attn_pdrop: 0.3 });
    expect(config).toMatchObject({ dropout: 0.2, embeddingDropout: 0, attentionDropout: 0.3 });
    const model = withDevice(reference(), () => new GPT2({ ...config, dim: 8, numHeads: 2, numLayers: 1, vocabSize: 5, maxLength: 4 }));
    expect(model.blocks[0]!.attention.dropout).toBe(0.3);
    expect([model.dropout.p, model.blocks[0]!.dropout.p]).toEqual([0, 0.2]);
  });

  test("scales of scores: none, by layer, both", () => {
    const sizes = { n_embd: 64, n_head: 4 };
    expect(gpt2Config({ ...sizes, scale_attn_weights: false }).scale!(3)).toBe(1);
    expect(gpt2Config({ ...sizes, scale_attn_by_inverse_layer_idx: true }).scale!(3)).toBe(1 / 16);
    expect(gpt2Config({ ...sizes, scale_attn_by_inverse_layer_idx: true, scale_attn_weights: false }).scale!(1)).toBe(1 / 2);
  });

  test("null is the default, and keys of trainers and tokenizers are let be", () => {
    const config = gpt2Config({ n_inner: null, n_embd: 8, n_head: 2, attn_pdrop: 0.1, task_specific_params: {}, use_cache: true });
    expect(config.hiddenDim).toBe(32);
  });

  test.each([
    [{ n_embd: "768" }, 'GPT-2: n_embd in config.json must be a number, got "768"'],
    [{ n_layer: 0 }, "n_layer in config.json must be a positive whole number, got 0"],
    [{ n_inner: -4 }, "n_inner in config.json must be a positive whole number, got -4"],
    [{ n_head: 2.5 }, "n_head in config.json must be a positive whole number, got 2.5"],
    [{ activation_function: "swagger" }, 'activation_function in config.json is "swagger"; known are gelu, gelu_new'],
    [{ activation_function: "constructor" }, 'activation_function in config.json is "constructor"'],
    [{ tie_word_embeddings: 1 }, "tie_word_embeddings in config.json must be a boolean, got 1"],
    [{ add_cross_attention: true }, "config.json has add_cross_attention: true; cross-attention in GPT-2 is not supported"],
    [{ n_heads: 12 }, "config.json has n_heads, which is unknown. Is it n_head?"],
    [{ layer_norm_epsilom: 1e-6 }, "Is it layer_norm_epsilon?"],
    [{ nEmbd: 768 }, "config.json has nEmbd, which is unknown. Is it n_embd?"],
    [[], "config.json must hold an object, got array"],
    [null, "config.json must hold an object"],
  ])("%j is refused", (json, message) => {
    expect(() => gpt2Config(json)).toThrow(message);
  });
});

describe("llama", () => {
  test("an empty configuration is transformers' default Llama", () => {
    expect(llamaConfig({})).toEqual({
      vocabSize: 32000,
      attentionDropout: 0,
      maxLength: 2048,
      dim: 4096,
      numHeads: 32,
      numKvHeads: 32,
      headDim: 128,
      numLayers: 32,
      hiddenDim: 11008,
      eps: 1e-6,
      activation: "silu",
      ropeBase: 10_000,
      ropeScaling: { type: "default" },
      attentionBias: false,
      outputBias: false,
      mlpBias: false,
      queryKeyNorm: false,
      tied: false,
    });
  });

  test("each family has its own defaults and biases", () => {
    expect(llamaConfig({ model_type: "mistral", sliding_window: null })).toMatchObject({
      numKvHeads: 8,
      hiddenDim: 14336,
      maxLength: 131072,
    });
    expect(llamaConfig({ model_type: "qwen2" })).toMatchObject({ attentionBias: true, outputBias: false, queryKeyNorm: false });
    expect(llamaConfig({ model_type: "qwen3", hidden_size: 1024 })).toMatchObject({
      headDim: 128,
      queryKeyNorm: true,
      attentionBias: false,
    });
    expect(llamaConfig({ attention_bias: true, mlp_bias: true })).toMatchObject({ attentionBias: true, outputBias: true, mlpBias: true });
    expect(llamaConfig({ model_type: "mistral", mlp_bias: true, sliding_window: null })).toMatchObject({ mlpBias: false });
  });

  test("rotation: keys of version 5 before those of version 4, `type` as well as `rope_type`", () => {
    const linear = { type: "linear", factor: 4 };
    expect(llamaConfig({ rope_parameters: { rope_type: "linear", factor: 4, rope_theta: 500 }, rope_theta: 7 })).toMatchObject({
      ropeBase: 500,
      ropeScaling: linear,
    });
    expect(llamaConfig({ rope_scaling: { type: "linear", factor: 4 }, rope_theta: 7 })).toMatchObject({ ropeBase: 7, ropeScaling: linear });
    expect(llamaConfig({ rope_scaling: null, rope_theta: 7 })).toMatchObject({ ropeBase: 7, ropeScaling: { type: "default" } });
    expect(llamaConfig({ rope_parameters: { rope_type: "dynamic", factor: 2 }, max_position_embeddings: 64 }).ropeScaling).toEqual({
      type: "dynamic",
      factor: 2,
      originalMaxLength: 64,
    });
    const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 };
    expect(llamaConfig({ rope_scaling: llama3 }).ropeScaling).toEqual({
      type: "llama3",
      factor: 8,
      lowFactor: 1,
      highFactor: 4,
      originalMaxLength: 32,
    });
    const longrope = { rope_type: "longrope", short_factor: [1, 1], long_factor: [2, 4], original_max_position_embeddings: 32 };
    expect(llamaConfig({ rope_scaling: longrope, max_position_embeddings: 128 }).ropeScaling).toMatchObject({
      type: "longrope",
      shortFactors: [1, 1],
      longFactors: [2, 4],
      originalMaxLength: 32,
      factor: 4,
    });
    expect(llamaConfig({ rope_scaling: linear, max_position_embeddings: 100 }).maxLength).toBe(400);
    const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 };
    for (const given of [32, 128]) expect(llamaConfig({ rope_scaling: yarn, max_position_embeddings: given }).maxLength).toBe(128);
    expect(llamaConfig({ rope_scaling: yarn, max_position_embeddings: 300 }).maxLength).toBe(300);
    expect(llamaConfig({ rope_scaling: llama3, max_position_embeddings: 64 }).maxLength).toBe(64);
    expect(llamaConfig({ rope_scaling: { rope_type: "yarn", factor: 2 } }).ropeScaling).toMatchObject({
      betaFast: 32,
      betaSlow: 1,
      truncate: true,
    });
  });

  test.each([
    [{ model_type: "gemma" }, 'model_type in config.json is "gemma"; known are llama, mistral, qwen2, qwen3'],
    [{ model_type: "toString" }, 'model_type in config.json is "toString"'],
    [
      { model_type: "qwen3", num_hidden_layers: 2, layer_types: ["full_attention", "chunked_attention"] },
      'layer_types in config.json must be 2 of "full_attention" and "sliding_attention", got ["full_attention","chunked_attention"]',
    ],
    [{ model_type: "qwen3", layer_types: ["full_attention"] }, "layer_types in config.json must be 32 of"],
    [
      { model_type: "qwen3", num_hidden_layers: 1, sliding_window: null, layer_types: ["sliding_attention"] },
      "layer_types in config.json has sliding_attention, which needs sliding_window",
    ],
    [{ model_type: "mistral", sliding_window: 0 }, "sliding_window in config.json must be a positive whole number, got 0"],
    [{ rope_scaling: { rope_type: "spiral", factor: 2 } }, 'rope type "spiral" in config.json is not supported; known are default'],
    [
      { rope_scaling: { rope_type: "longrope", factor: 2 } },
      'rope scaling "longrope" in config.json needs short_factor, a list of numbers',
    ],
    [{ rope_scaling: { rope_type: "longrope", short_factor: [1], long_factor: ["2"] } }, "needs long_factor, a list of numbers"],
    [{ rope_scaling: { rope_type: "linear" } }, 'rope scaling "linear" in config.json needs a factor'],
    [{ rope_parameters: "linear" }, 'rope_parameters in config.json must be an object, got "linear"'],
    [{ num_key_value_heads: 0 }, "num_key_value_heads in config.json must be a positive whole number, got 0"],
    [{ head_dim: 2.5 }, "head_dim in config.json must be a positive whole number, got 2.5"],
    [{ hidden_sise: 64 }, "config.json has hidden_sise, which is unknown. Is it hidden_size?"],
    [{ numKeyValueHeads: 2 }, "config.json has numKeyValueHeads, which is unknown. Is it num_key_value_heads?"],
  ])("%j is refused", (json, message) => {
    expect(() => llamaConfig(json)).toThrow(message);
  });

  test("a window that is not used does not matter", () => {
    expect(() => llamaConfig({ model_type: "qwen2", use_sliding_window: false, sliding_window: 4096 })).not.toThrow();
    const full = { num_hidden_layers: 1, layer_types: ["full_attention"], sliding_window: 4096 };
    for (const config of [
      { model_type: "qwen2", use_sliding_window: false, sliding_window: 4096 },
      { model_type: "qwen3", ...full },
      { model_type: "mistral", sliding_window: null },
      { model_type: "llama", sliding_window: 8 },
      { model_type: "qwen2", use_sliding_window: true, num_hidden_layers: 28 },
    ])
      expect(llamaConfig(config)).not.toHaveProperty("window");
  });

  test("windows: Mistral's in every layer, Qwen's from a layer on, or as layer_types say", () => {
    expect(llamaConfig({ model_type: "mistral" })).toMatchObject({ window: 4096 });
    const mistral = llamaConfig({ model_type: "mistral", sliding_window: 7 });
    expect([mistral.window, mistral.windowedLayers]).toEqual([7, undefined]);
    const qwen = { use_sliding_window: true, num_hidden_layers: 3, max_window_layers: 2 };
    expect(llamaConfig({ model_type: "qwen2", ...qwen })).toMatchObject({ window: 4096, windowedLayers: [false, false, true] });
    const types = ["sliding_attention", "full_attention"];
    expect(llamaConfig({ model_type: "qwen3", num_hidden_layers: 2, sliding_window: 9, layer_types: types })).toMatchObject({
      window: 9,
      windowedLayers: [true, false],
    });
  });
});
