import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFile as fileSink, published, type SavedTensor, writeSafetensors } from "@x/checkpoint";
import { cellAliases, namedCells, stateDict } from "@x/nn";
import { Generator, reference, setDefaultDevice, tensor, withGenerator } from "@x/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { families, fromPretrained } from "../src/index.ts";
import { TransformerXL, transformerXLConfig, transformerXLNames } from "../src/transformer-xl/index.ts";

const device = reference();
let home: string;
beforeAll(async () => {
  setDefaultDevice(device);
  home = await mkdtemp(join(tmpdir(), "xl-"));
});
afterAll(() => rm(home, { recursive: true }));

const config = {
  model_type: "transfo-xl",
  vocab_size: 13,
  cutoffs: [5, 8],
  d_model: 8,
  d_embed: 8,
  n_head: 2,
  d_head: 3,
  d_inner: 10,
  div_val: 2,
  n_layer: 2,
  mem_len: 4,
};
const make = (json: object) => withGenerator(new Generator({ seed: 4, device }), () => new TransformerXL(transformerXLConfig(json)));
const tokens = tensor([[1, 7, 12, 4]], { dtype: "i32", device });

/** What the published model's state dict holds beside the blocks, with the shapes of the configuration above. */
const rest = {
  "transformer.word_emb.emb_layers.0.weight": [5, 8],
  "transformer.word_emb.emb_layers.1.weight": [3, 4],
  "transformer.word_emb.emb_layers.2.weight": [5, 2],
  "transformer.word_emb.emb_projs.0": [8, 8],
  "transformer.word_emb.emb_projs.1": [8, 4],
  "transformer.word_emb.emb_projs.2": [8, 2],
  "transformer.pos_emb.inv_freq": [4],
  "crit.cluster_weight": [2, 8],
  "crit.cluster_bias": [2],
  "crit.out_layers.0.weight": [5, 8],
  "crit.out_layers.0.bias": [5],
  "crit.out_layers.1.weight": [3, 4],
  "crit.out_layers.1.bias": [3],
  "crit.out_layers.2.weight": [5, 2],
  "crit.out_layers.2.bias": [5],
  "crit.out_projs.0": [8, 8],
  "crit.out_projs.1": [8, 4],
  "crit.out_projs.2": [8, 2],
};
const ofLayer = {
  "dec_attn.r_r_bias": [2, 3],
  "dec_attn.r_w_bias": [2, 3],
  "dec_attn.qkv_net.weight": [18, 8],
  "dec_attn.o_net.weight": [8, 6],
  "dec_attn.layer_norm.weight": [8],
  "dec_attn.layer_norm.bias": [8],
  "dec_attn.r_net.weight": [6, 8],
  "pos_ff.CoreNet.0.weight": [10, 8],
  "pos_ff.CoreNet.0.bias": [10],
  "pos_ff.CoreNet.3.weight": [8, 10],
  "pos_ff.CoreNet.3.bias": [8],
  "pos_ff.layer_norm.weight": [8],
  "pos_ff.layer_norm.bias": [8],
};
const shapes: Readonly<Record<string, readonly number[]>> = {
  ...rest,
  ...Object.fromEntries([0, 1].flatMap((i) => Object.entries(ofLayer).map(([name, shape]) => [`transformer.layers.${i}.${name}`, shape]))),
};
/** Published names that stand for a tensor which has another one. */
const tied = /^crit\.(out_layers\.\d+\.weight|out_projs\.[12])$|inv_freq$/;

async function put(model: TransformerXL, json: object, edit: (tensors: Map<string, SavedTensor>) => void = () => {}): Promise<string> {
  const path = await mkdtemp(join(home, "model-"));
  const tensors = new Map(published(await stateDict(model), transformerXLNames));
  edit(tensors);
  await fileSink(join(path, "model.safetensors"), (sink) => writeSafetensors(tensors, sink));
  await writeFile(join(path, "config.json"), JSON.stringify(json));
  return path;
}

test.each([
  ["norms behind", {}],
  ["norms before", { pre_lnorm: true }],
])("the published names are our parameters, each once, in the published shapes; %s", async (_, changes) => {
  const model = make({ ...config, ...changes });
  const { moves, unmatched, dropped } = transformerXLNames.toOurs(Object.keys(shapes));
  expect([unmatched, dropped.map(({ name }) => name)]).toEqual([[], ["transformer.pos_emb.inv_freq"]]);
  const aliases = [...cellAliases(model).keys()].filter((name) => name.startsWith("softmax."));
  expect(moves.flatMap(({ ours }) => ours).sort()).toEqual([...namedCells(model).keys(), ...aliases].sort());
  const written = published(await stateDict(model), transformerXLNames).map(([name, { shape }]) => [name, shape] as const);
  expect(Object.fromEntries(written)).toEqual(Object.fromEntries(Object.entries(shapes).filter(([name]) => !tied.test(name))));
});

describe("fromPretrained", () => {
  test.each([
    ["as published", {}],
    ["u and v shared", { untie_r: false }],
    ["nothing tied", { tie_word_embeddings: false, proj_share_all_but_first: false }],
    ["one table, projected", { div_val: 1, d_embed: 6 }],
    ["one table of the model's width", { div_val: 1 }],
    ["norms before", { pre_lnorm: true }],
  ])("reads what was written: %s", async (_, changes) => {
    const json = { ...config, ...changes };
    const model = make(json);
    const { model: back, family } = await fromPretrained(await put(model, json));
    expect(family).toBe(families["transfo-xl"]);
    expect(await back.forward(tokens).data()).toEqual(await model.forward(tokens).data());
  });

  test("a file with every name of tied tensors, as the published one has them, stays tied", async () => {
    const model = make(config);
    const path = await put(model, config, (tensors) => {
      for (const i of [0, 1, 2]) {
        tensors.set(`crit.out_layers.${i}.weight`, tensors.get(`transformer.word_emb.emb_layers.${i}.weight`)!);
        if (i > 0) tensors.set(`crit.out_projs.${i}`, tensors.get(`transformer.word_emb.emb_projs.${i}`)!);
      }
      tensors.set("transformer.pos_emb.inv_freq", { shape: [4], dtype: "f32", values: new Float32Array(4) });
      expect([...tensors.keys()].sort()).toEqual(Object.keys(shapes).sort());
    });
    const { model: back, report } = await fromPretrained(path);
    expect(await back.forward(tokens).data()).toEqual(await model.forward(tokens).data());
    expect(report.tied.map(({ name }) => name).filter((name) => name.startsWith("softmax."))).toHaveLength(5);
    expect([...back.namedParameters().keys()].filter((name) => /softmax\.(weights|projections)/.test(name))).toEqual([
      "softmax.projections.0",
    ]);
  });

  test("shared u and v may stand under every layer, as transformers writes them", async () => {
    const json = { ...config, untie_r: false };
    const model = make(json);
    const path = await put(model, json, (tensors) => {
      for (const name of ["r_w_bias", "r_r_bias"])
        for (const i of [0, 1]) tensors.set(`transformer.layers.${i}.dec_attn.${name}`, tensors.get(`transformer.${name}`)!);
    });
    expect(await (await fromPretrained(path)).model.forward(tokens).data()).toEqual(await model.forward(tokens).data());
  });
});

describe("config.json", () => {
  test("of the published model", () => {
    const json = {
      adaptive: true,
      architectures: ["TransfoXLLMHeadModel"],
      attn_type: 0,
      clamp_len: 1000,
      cutoffs: [20000, 40000, 200000],
      d_embed: 1024,
      d_head: 64,
      d_inner: 4096,
      d_model: 1024,
      div_val: 4,
      dropatt: 0,
      dropout: 0.1,
      eos_token_id: 0,
      ext_len: 0,
      init: "normal",
      init_range: 0.01,
      init_std: 0.02,
      layer_norm_epsilon: 1e-5,
      mem_len: 1600,
      model_type: "transfo-xl",
      n_head: 16,
      n_layer: 18,
      pre_lnorm: false,
      proj_init_std: 0.01,
      same_length: true,
      sample_softmax: -1,
      tgt_len: 128,
      tie_projs: [false, true, true, true],
      tie_weight: true,
      untie_r: true,
      vocab_size: 267735,
    };
    const read = transformerXLConfig(json);
    expect(read).toEqual({
      vocabSize: 267735,
      dim: 1024,
      numLayers: 18,
      numHeads: 16,
      headDim: 64,
      hiddenDim: 4096,
      cutoffs: [20000, 40000, 200000],
      embeddingDim: 1024,
      divValue: 4,
      tied: true,
      tiedProjections: [false, true, true, true],
      memoryLength: 1600,
      clampLength: 1000,
      sameLength: true,
      initMemory: "zeros",
      preNorm: false,
      untiedBiases: true,
      eps: 1e-5,
      dropout: 0.1,
      attentionDropout: 0,
      initDeviation: 0.02,
      projectionDeviation: 0.01,
    });
    // Where nothing is said, transformers means this model.
    expect(transformerXLConfig({})).toEqual(read);
  });

  test("old names, switches and lists", () => {
    const read = transformerXLConfig({
      n_token: 50,
      cutoffs: [20],
      clamp_len: -1,
      tie_weight: false,
      proj_share_all_but_first: false,
      init: "uniform",
      init_range: 0.3,
    });
    expect(read).toMatchObject({ vocabSize: 50, clampLength: undefined, tied: false, tiedProjections: [false, false] });
    expect(read.initDeviation).toBeCloseTo(0.3 / Math.sqrt(3));
    expect(transformerXLConfig({ tie_projs: [true, false, true, true] }).tiedProjections).toEqual([true, false, true, true]);
  });

  test.each([
    [{ attn_type: 1 }, "attention other than Transformer-XL's own is not supported"],
    [{ sample_softmax: 5 }, "a sampled softmax is not supported"],
    [{ ext_len: 3 }, "an extended context is not supported"],
    [{ adaptive: false }, "a softmax that is not adaptive is not supported"],
    [{ cutoffs: ["a"] }, 'cutoffs in config.json must be a list of numbers, got ["a"]'],
    [{ tie_projs: [1] }, "tie_projs in config.json must be a list of booleans, got [1]"],
    [{ mem_lem: 5 }, "config.json has mem_lem, which is unknown. Is it mem_len?"],
  ])("refuses %j", (json, message) => {
    expect(() => transformerXLConfig(json)).toThrow(message);
  });
});
