import { joinHeads, repeatHeads, splitHeads } from "@x/nn";
import { RMSNorm } from "@x/norm";
import { AlibiBias, RotaryPositions, SinusoidalPositions, T5RelativeBias } from "@x/posenc";
import { arange, Generator, randn, reference, setDefaultDevice, Tensor, tensor, withGenerator } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { type AttentionOptions, blocks, SelfAttention, TransformerXLAttention, type TransformerXLOptions, window } from "../src/index.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));
const [dim, length, headDim] = [16, 9, 4];
const seeded = <R>(fn: () => R): R => withGenerator(new Generator({ seed: 3, device }), fn);
/** Large enough to weigh unevenly. */
const init = (shape: readonly number[], generator: Generator) =>
  generator.hostUniform(shape.reduce((a, b) => a * b, 1)).map((u) => 3 * u - 1.5);

/** Weights times values, joined and projected. */
const mixed = (layer: SelfAttention | TransformerXLAttention, weights: Tensor, read: Tensor): Tensor => {
  const values = repeatHeads(splitHeads(layer.value.forward(read), layer.numKvHeads), layer.numHeads);
  return layer.output.forward(joinHeads(weights.matmul(values)));
};
const sums = (weights: Tensor) => weights.sum(-1);
const ahead = (weights: Tensor) => {
  const [queries, keys] = weights.shape.slice(2) as [number, number];
  const i = arange(queries)
    .reshape([queries, 1])
    .add(keys - queries);
  return arange(keys).gt(i).cast("f32").mul(weights).abs().max();
};

describe("the weights of SelfAttention", () => {
  const variants: Record<string, () => Partial<AttentionOptions>> = {
    dense: () => ({ causal: true }),
    "both ways": () => ({}),
    "rotated, normed, with shared heads": () => ({
      ...{ causal: true, numKvHeads: 2, rotation: new RotaryPositions({ headDim, maxLength: 16 }) },
      ...{ queryNorm: new RMSNorm({ dim: headDim }), keyNorm: new RMSNorm({ dim: headDim }) },
    }),
    "in a window, with ALiBi": () => ({ causal: true, pattern: window(3), distanceBias: new AlibiBias({ numHeads: 4 }) }),
    "of blocks seen twice, with T5's bias": () => ({
      ...{ causal: true, pattern: blocks([[0], [0, 0, 1], [1, 2, 2]], { size: 3 }) },
      distanceBias: new T5RelativeBias({ numHeads: 4, bidirectional: false, init }),
    }),
    "with a soft cap and a scale": () => ({ causal: true, softcap: 2, scale: 1.7 }),
  };

  test.each(Object.entries(variants))("%s: times the values they make the layer's own output", async (_, options) => {
    const layer = seeded(() => new SelfAttention({ dim, numHeads: 4, init, ...options() }));
    const x = seeded(() => randn([2, length, dim]));
    const positions = arange(length);
    const weights = layer.weights(x, { positions });
    expect(weights.shape).toEqual([2, 4, length, length]);
    await expect(mixed(layer, weights, x)).toBeCloseToTensor(layer.forward(x, { positions }), { atol: 1e-5, rtol: 1e-5 });
    await expect(sums(weights)).toBeCloseToTensor(sums(weights).onesLike(), { atol: 1e-6 });
    if (layer.causal) expect(await ahead(weights).item()).toBe(0);
  });

  test("are softmax of the scaled products, and leave hidden keys out", async () => {
    const layer = seeded(() => new SelfAttention({ dim, numHeads: 4, init }));
    const x = seeded(() => randn([1, 3, dim]));
    const keyMask = tensor([[true, false, true]]);
    const [q, k] = [layer.query, layer.key].map((projection) => splitHeads(projection.forward(x), 4)) as [Tensor, Tensor];
    const e = q
      .matmul(k.transpose())
      .mul(headDim ** -0.5)
      .exp()
      .mul(tensor([1, 0, 1]));
    await expect(layer.weights(x, { keyMask })).toBeCloseToTensor(e.div(e.sum(-1, { keepDims: true })), { atol: 1e-6 });
  });
});

describe("the weights of TransformerXLAttention", () => {
  const variants: Record<string, () => Partial<TransformerXLOptions>> = {
    plain: () => ({}),
    "with shared heads, in a window": () => ({ numKvHeads: 2, pattern: window(3) }),
    "clamped, of the same length, normed": () => ({ clampLength: 2, sameLength: 4, norm: new RMSNorm({ dim }) }),
  };

  test.each(Object.entries(variants))("%s: times the values of memory and input they make the layer's own output", async (_, options) => {
    const distances = new SinusoidalPositions({ maxLength: 32, dim, layout: "halves" });
    const layer = seeded(() => new TransformerXLAttention({ dim, numHeads: 4, distances, init, ...options() }));
    const [x, memory] = seeded(() => [randn([2, length, dim]), randn([2, 4, dim])]);
    const weights = layer.weights(x, { memory });
    expect(weights.shape).toEqual([2, 4, length, length + 4]);
    const all = Tensor.concat([memory!, x!], 1);
    await expect(mixed(layer, weights, layer.norm?.forward(all) ?? all)).toBeCloseToTensor(layer.forward(x!, { memory }), {
      ...{ atol: 1e-5, rtol: 1e-5 },
    });
    await expect(sums(weights)).toBeCloseToTensor(sums(weights).onesLike(), { atol: 1e-6 });
    expect(await ahead(weights).item()).toBe(0);
  });
});
