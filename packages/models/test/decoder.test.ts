import type { SelfAttention } from "@x/attention";
import { wasm } from "@x/kernels-wasm";
import { joinHeads, repeatHeads, splitHeads } from "@x/nn";
import { meanCrossEntropy } from "@x/ops";
import { arange, type Device, Generator, scope, setDefaultDevice, type Tensor, tensor, valueAndGrad, withGenerator } from "@x/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  Decoder,
  type DecoderConfig,
  type Mixer,
  mixers,
  type NormKind,
  norms,
  type Position,
  positions,
  type ResidualKind,
  residuals,
} from "../src/decoder/index.ts";
import { RelativePerformer } from "../src/decoder/relative-performer.ts";

let device: Device;
beforeAll(async () => {
  device = await wasm({ threads: 1 });
  setDefaultDevice(device);
});
afterAll(() => device.close());

const length = 16;
const base: DecoderConfig = { vocabSize: 13, maxLength: length, dim: 16, numLayers: 2, numHeads: 4, window: 5, blockSize: 3, segment: 6 };
const made = (config: Partial<DecoderConfig>, seed = 3) =>
  withGenerator(new Generator({ seed, device }), () => new Decoder({ ...base, ...config }));
const ids = (rows: number, seed: number) =>
  Int32Array.from({ length: rows * length }, (_, i) => (i * i * 7 + i * seed + (i >> 2) * 3) % base.vocabSize);
const tokensOf = (data: Int32Array) => tensor(data, { shape: [data.length / length, length], device });
const logitsOf = async (model: Decoder, data: Int32Array): Promise<Float32Array> =>
  (await model.forward(tokensOf(data)).data()) as Float32Array;

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 2e-5): void {
  expect(actual.length).toBe(expected.length);
  const worst = Math.max(...Array.from(actual, (value, i) => Math.abs(value - expected[i]!)));
  expect(worst).toBeLessThan(tolerance);
}

const pairs = mixers.flatMap((mixer) => positions.map((position): [Mixer, Position] => [mixer, position]));

describe.each(pairs)("%s with positions %s", (mixer, position) => {
  const config = { mixer, position, numKvHeads: 2 } as const;

  test("looks back only, and at its own token", async () => {
    const model = made(config);
    const data = ids(1, 5);
    const changed = data.slice();
    changed[9] = (changed[9]! + 1) % base.vocabSize;
    const [before, after] = [await logitsOf(model, data), await logitsOf(model, changed)];
    const at = 9 * base.vocabSize;
    expect(after.slice(0, at)).toEqual(before.slice(0, at));
    expect(after.slice(at, at + base.vocabSize)).not.toEqual(before.slice(at, at + base.vocabSize));
  });

  test("trains: every parameter gets a gradient, and the loss falls", async () => {
    const model = made(config);
    const [inputs, targets] = [tokensOf(ids(2, 5)), tokensOf(ids(2, 11))];
    const parameters = model.namedParameters();
    const step = () => valueAndGrad(() => meanCrossEntropy(model.forward(inputs), targets), [...parameters.values()]);
    const losses: number[] = [];
    for (let i = 0; i < 10; i++) {
      const { value, gradients } = step();
      if (i === 0)
        for (const [k, name] of [...parameters.keys()].entries()) {
          const size = Math.max(...Array.from(await gradients[k]!.abs().data()));
          // Softmax does not change when a query's scores all grow alike.
          if (!/key\.bias$/.test(name)) expect([name, size > 0]).toEqual([name, true]);
        }
      scope(() => {
        for (const [k, cell] of [...parameters.values()].entries()) cell.set(cell.value.sub(gradients[k]!.mul(0.1)));
      });
      losses.push(Number((await value.data())[0]));
    }
    expect(losses.every(Number.isFinite)).toBe(true);
    expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.02);
  });

  test("the weights of a layer times its values make what its mixer gives", async () => {
    for (const residual of ["pre", "post"] as const) {
      const model = made({ ...config, residual });
      const tokens = tokensOf(ids(2, 5));
      const weights = model.attentionWeights(tokens, 1);
      expect(weights.shape).toEqual([2, base.numHeads, length, length]);
      const { attention, mixer: mix } = model.blocks[1]!;
      const stream = model.hiddenStates(tokens)[1]!;
      const read = residual === "pre" ? attention.norm.forward(stream) : stream;
      const { output } = mix instanceof RelativePerformer ? mix.performer : (mix as SelfAttention);
      const values = repeatHeads(splitHeads(mix.value.forward(read), 2), base.numHeads);
      const expected = (await mix.forward(read, { positions: arange(length, { device }) }).data()) as Float32Array;
      expectClose((await output.forward(joinHeads(weights.matmul(values))).data()) as Float32Array, expected);
      // Nobody weighs what the layer's pattern hides.
      const data = await weights.data();
      const pattern = model.pattern(1);
      const hidden = (at: number) => pattern.times(Math.floor(at / length) % length, at % length) === 0;
      expect(data.some((value, at) => value !== 0 && hidden(at))).toBe(false);
      expect(data.some((value, at) => value === 0 && !hidden(at))).toBe(false);
    }
  });

  test("a state gives what the whole sequence gives, prompts of different lengths side by side", async () => {
    const model = made(config);
    const rows = [ids(1, 5), ids(1, 8)];
    const full = await Promise.all(rows.map((row) => logitsOf(model, row)));
    const padding = [0, 3];
    const state = model.initState({ batch: 2, capacity: length + 2 });
    state.reset(padding);
    const prompt = 7;
    const take = (from: number, count: number) =>
      tensor(
        Int32Array.from({ length: 2 * count }, (_, i) => {
          const row = Math.floor(i / count);
          return rows[row]![Math.max(0, from + (i % count) - padding[row]!)]!;
        }),
        { shape: [2, count], device },
      );
    const expected = (row: number, position: number) => full[row]!.slice(position * base.vocabSize, (position + 1) * base.vocabSize);
    const check = async (logits: Tensor, last: number) => {
      const values = (await logits.data()) as Float32Array;
      for (const row of [0, 1])
        expectClose(values.slice(row * base.vocabSize, (row + 1) * base.vocabSize), expected(row, last - padding[row]!), 1e-4);
    };
    await check(model.forward(take(0, prompt), { state, lastOnly: true }), prompt - 1);
    for (let at = prompt; at < length; at++) await check(model.forward(take(at, 1), { state, lastOnly: true }), at);
    const swapped = state.select([1, 0]);
    expect(swapped.length).toBe(length);
    for (const each of [state, swapped]) each.dispose();
  });
});

describe("norms", () => {
  test.each(norms.flatMap((norm) => residuals.map((residual): [NormKind, ResidualKind] => [norm, residual])))(
    "%s norms, placed %s",
    async (norm, residual) => {
      const model = made({ norm, residual, position: "rope" });
      const data = ids(1, 5);
      const states = model.hiddenStates(tokensOf(data));
      expect(states).toHaveLength(base.numLayers + 1);
      const last = Array.from(await states.at(-1)!.data()).slice(0, base.dim);
      const meanSquare = last.reduce((sum, value) => sum + value * value, 0) / base.dim;
      // Whatever the placement, what reaches the output layer has gone through a norm with weights of 1.
      expect(Math.abs(meanSquare - 1)).toBeLessThan(0.02);
      const names = [...model.namedParameters().keys()];
      expect(names.includes("norm.weight")).toBe(residual === "pre" || residual === "sandwich");
      expect(names.some((name) => name.endsWith("outputNorm.weight"))).toBe(residual === "sandwich");
      expect(names.includes("blocks.0.attention.norm.bias")).toBe(norm === "layer");
    },
  );

  test("DeepNorm begins values, outputs and feed-forwards smaller than queries and keys, by beta", async () => {
    const model = made({ residual: "deep", dim: 64, numHeads: 2, position: "none" });
    const deviation = async (name: string) => {
      const values = Array.from(await model.namedParameters().get(`blocks.0.${name}`)!.data());
      return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    };
    const beta = (8 * base.numLayers) ** -0.25;
    const xavier = Math.sqrt(2 / 128);
    for (const name of ["query", "key"]) expect((await deviation(`attention.branch.mixer.${name}.weight`)) / xavier).toBeCloseTo(1, 1);
    for (const name of ["value", "output"])
      expect((await deviation(`attention.branch.mixer.${name}.weight`)) / xavier).toBeCloseTo(beta, 1);
    expect((await deviation("mlp.branch.input.weight")) / Math.sqrt(2 / 320)).toBeCloseTo(beta, 1);
  });
});

test("LayerScale begins as the depth asks, on every branch", async () => {
  const scales = [...made({ layerScale: true, numLayers: 3 }).namedParameters()].filter(([name]) => name.endsWith("layerScale.lambda"));
  expect(scales).toHaveLength(6);
  for (const [, cell] of scales) expect([...new Set(await cell.data())]).toEqual([Math.fround(0.1)]);
});

test("Transformer-XL's segments compute what dense attention does; the gradient stops between them", async () => {
  const [dense, xl] = [made({ mixer: "dense", position: "xl" }), made({ mixer: "xl", position: "xl" })];
  const data = ids(1, 5);
  expectClose(await logitsOf(xl, data), await logitsOf(dense, data));
  const gradientOf = async (model: Decoder) => {
    const table = model.tokens.weight;
    const { gradients } = valueAndGrad(() => model.hiddenStates(tokensOf(data)).at(-1)!.slice(1, 7, 8).square().sum(), [table]);
    return (await gradients[0]!.data()) as Float32Array;
  };
  const [all, own] = [await gradientOf(dense), await gradientOf(xl)];
  const ofRow = (values: Float32Array, row: number) => values.slice(row * base.dim, (row + 1) * base.dim).some((value) => value !== 0);
  const inSegment = new Set(data.slice(6, 8));
  for (const id of new Set(data.slice(0, 8))) {
    expect(ofRow(all, id)).toBe(true);
    expect(ofRow(own, id)).toBe(inSegment.has(id));
  }
});

test.each(["rope", "t5", "none"] as const)(
  "segments of attention with any positions compute the same, and stop gradients: %s",
  async (position) => {
    const [dense, xl] = [made({ mixer: "dense", position }), made({ mixer: "xl", position })];
    // Scores large enough for positions to count.
    for (const cell of [...dense.namedParameters(), ...xl.namedParameters()].flatMap(([name, each]) =>
      /(query|key)\.weight$/.test(name) ? [each] : [],
    ))
      scope(() => cell.set(cell.value.mul(15)));
    const data = ids(1, 5);
    expectClose(await logitsOf(xl, data), await logitsOf(dense, data));
    const table = xl.tokens.weight;
    const { gradients } = valueAndGrad(() => xl.hiddenStates(tokensOf(data)).at(-1)!.slice(1, 7, 8).square().sum(), [table]);
    const values = (await gradients[0]!.data()) as Float32Array;
    const touched = Array.from({ length: base.vocabSize }, (_, id) => id).filter((id) =>
      values.slice(id * base.dim, (id + 1) * base.dim).some((value) => value !== 0),
    );
    expect(touched).toEqual([...new Set(data.slice(6, 8))].sort((a, b) => a - b));
  },
);

test("a Performer with biases approaches dense attention with them, the more features it has", async () => {
  const data = ids(1, 5);
  for (const position of ["alibi", "t5"] as const) {
    const expected = await logitsOf(made({ mixer: "dense", position, numLayers: 1, dim: 32 }, 5), data);
    const errorOf = async (numFeatures: number) => {
      const performer = made({ mixer: "performer", position, numFeatures, numLayers: 1, dim: 32 }, 5);
      // The same weights, under other names; the features are its own.
      const dense = made({ mixer: "dense", position, numLayers: 1, dim: 32 }, 5).namedParameters();
      for (const [name, cell] of performer.namedParameters()) cell.set(dense.get(name.replace(".performer.", "."))!);
      const logits = await logitsOf(performer, data);
      return Math.sqrt(logits.reduce((sum, value, i) => sum + (value - expected[i]!) ** 2, 0));
    };
    const [few, many] = [await errorOf(4), await errorOf(2048)];
    expect(many).toBeLessThan(few / 4);
  }
});

test("is longer where positions are relative than any window it was trained on", async () => {
  const model = made({ position: "alibi", maxLength: 64 });
  expect(model.forward(arange(60, { device }).mod(13).reshape([1, 60])).shape).toEqual([1, 60, 13]);
});

test.each([
  [{ mixer: "conv" }, /Decoder: mixer must be one of dense, longformer, bigbird, performer, xl, got "conv"/],
  [{ position: "abacus" }, /Decoder: position must be one of/],
  [{ numKvHeads: 3 }, /Decoder: numHeads 4 must be a multiple of numKvHeads 3/],
  [{ dim: 18 }, /Decoder: dim 18 must be a multiple of numHeads 4/],
  [{ dim: 12, position: "rope" }, /rotary positions turn pairs, so dim \/ numHeads must be even, got 3/],
  [{ mixer: "performer", redrawEvery: -1 }, /Decoder: redrawEvery must be a whole number, 0 or more, got -1/],
  [{ window: 0 }, /Decoder: window must be/],
])("refuses %j", (config, message) => {
  expect(() => made(config as Partial<DecoderConfig>)).toThrow(message);
});

test("has no weights and no pattern of a layer that it does not have", () => {
  const model = made({});
  expect(() => model.attentionWeights(tokensOf(ids(1, 5)), 2)).toThrow("Decoder.attentionWeights: layer must be from 0 to 1, got 2.");
  expect(() => model.pattern(-1)).toThrow("Decoder.pattern: layer must be from 0 to 1, got -1.");
});

test("refuses more tokens than its tables hold, with and without a state", () => {
  const model = made({});
  const long = tensor(new Int32Array(length + 1), { shape: [1, length + 1], device });
  expect(() => model.forward(long)).toThrow(/17 tokens exceed the model's maxLength 16/);
  for (const mixer of mixers) {
    const other = made({ mixer });
    const state = other.initState({ batch: 1, capacity: 40 });
    expect(() => other.forward(long, { state })).toThrow(/maxLength 16/);
    expect(() => other.forward(tensor(new Int32Array(4), { shape: [2, 2], device }), { state })).toThrow(/has 1 rows/);
    state.dispose();
  }
});
