import { RMSNorm } from "@x/norm";
import { softmax } from "@x/ops";
import { SinusoidalPositions } from "@x/posenc";
import { arange, Generator, grad, Parameter, randn, reference, setDefaultDevice, Tensor, tensor, withGenerator } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { nextMemory, TransformerXLAttention, type TransformerXLOptions } from "../src/index.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));
const close = { atol: 2e-6, rtol: 1e-5 };
const distances = () => new SinusoidalPositions({ maxLength: 64, dim: 8, layout: "halves" });
const make = (options: Partial<TransformerXLOptions> = {}) =>
  withGenerator(
    new Generator({ seed: 4, device }),
    () =>
      new TransformerXLAttention({
        dim: 8,
        numHeads: 2,
        distances: distances(),
        init: (shape, generator) =>
          Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.3 + generator.nextOrdinal())),
        ...options,
      }),
  );

/** Equation 4 of section 3.3, pair by pair; which pairs are seen is told from outside. */
function formula(
  layer: TransformerXLAttention,
  x: Tensor,
  memory: Tensor | undefined,
  sees = (_i: number, back: number, _j: number) => back >= 0,
): Tensor {
  const all = memory ? Tensor.concat([memory, x], 1) : x;
  const [batch, length, keys] = [x.shape[0]!, x.shape[1]!, all.shape[1]!];
  const heads = (y: Tensor) => y.reshape([batch, y.shape[1]!, 2, 4]).permute([0, 2, 1, 3]);
  const [q, k, v] = [heads(layer.query.forward(x)), heads(layer.key.forward(all)), heads(layer.value.forward(all))];
  const back = (i: number, j: number) => i + keys - length - j;
  const pairs = Array.from({ length: length * keys }, (_, at) => [Math.floor(at / keys), at % keys] as const);
  const rows = Int32Array.from(pairs, ([i, j]) => Math.min(layer.clampLength, Math.max(0, back(i, j))));
  const r = layer.distance
    .forward(layer.distances!.forward(tensor(rows, { shape: [length * keys] })))
    .reshape([length, keys, 2, 4])
    .permute([2, 0, 1, 3]);
  const bias = (p: Parameter) => p.value.reshape([2, 1, 4]);
  const content = q.add(bias(layer.u)).matmul(k.transpose());
  const position = q.add(bias(layer.v)).unsqueeze(3).mul(r).sum(-1);
  const seen = tensor(
    pairs.map(([i, j]) => sees(i, back(i, j), j)),
    { shape: [length, keys] },
  ).expand(content.shape);
  const weights = softmax({ x: seen.where(content.add(position).div(2), -1e30) });
  return layer.output.forward(weights.matmul(v).permute([0, 2, 1, 3]).reshape([batch, length, 8]));
}

describe("is the paper's equation, with its gradients", () => {
  test.each([
    [1, 0],
    [1, 3],
    [3, 2],
    [5, 0],
    [2, 7],
  ])("%i positions over a memory of %i", async (length, remembered) => {
    const layer = make();
    const x = randn([2, length, 8]);
    const memory = remembered > 0 ? randn([2, remembered, 8]) : undefined;
    await expect(layer.forward(x, { memory })).toBeCloseToTensor(formula(layer, x, memory), close);
    const parameters = [...layer.namedParameters().values()];
    const gradients = (run: () => Tensor) => grad(() => run().square().sum(), parameters);
    const [ours, theirs] = [gradients(() => layer.forward(x, { memory })), gradients(() => formula(layer, x, memory))];
    for (const [i, g] of ours.entries()) await expect(g).toBeCloseToTensor(theirs[i]!, { atol: 1e-3, rtol: 1e-4 });
  });
});

test("u goes with the content and v with the distance", async () => {
  const layer = make();
  const x = randn([1, 4, 8]);
  const y = await layer.forward(x).data();
  const swapped = make({ biases: { u: layer.v, v: layer.u } });
  expect((await swapped.forward(x).data()).some((value, i) => Math.abs(value - y[i]!) > 1e-3)).toBe(true);
  await expect(swapped.forward(x)).toBeCloseToTensor(formula(swapped, x, undefined), close);
});

test("distances are clamped", async () => {
  const layer = make({ clampLength: 2 });
  const [x, memory] = [randn([1, 3, 8]), randn([1, 4, 8])];
  await expect(layer.forward(x, { memory })).toBeCloseToTensor(formula(layer, x, memory), close);
  expect(await layer.forward(x, { memory }).data()).not.toEqual(await make().forward(x, { memory }).data());
});

test("vectors that layers share stand in the place of those it looks up", async () => {
  const [x, memory] = [randn([1, 3, 8]), randn([1, 2, 8])];
  const back = arange(5).neg().add(4);
  const layer = make({ distances: undefined });
  const vectors = distances().forward(back);
  await expect(layer.forward(x, { memory, vectors })).toBeCloseToTensor(make().forward(x, { memory }), close);
  expect(() => layer.forward(x, { memory })).toThrow("distances are missing, and so are vectors");
  expect(() => layer.forward(x, { memory, vectors: vectors.slice(0, 0, 3) })).toThrow(
    "vectors must be [5, 8], one for each distance, got [3, 8]",
  );
});

test("of the same length, two segments over their memory are one pass over a window", async () => {
  const layer = make({ sameLength: 4 });
  const x = randn([2, 8, 8]);
  const [first, second] = [x.slice(1, 0, 4), x.slice(1, 4, 8)];
  const memory = nextMemory(undefined, first, 4);
  expect(memory.shape).toEqual([2, 4, 8]);
  // Each query sees as many keys as the memory has, itself among them.
  await expect(layer.forward(second, { memory })).toBeCloseToTensor(
    formula(make(), x, undefined, (_, back) => back >= 0 && back < 4).slice(1, 4, 8),
    close,
  );
});

test("nothing flows into the memory, which keeps the last positions", async () => {
  const layer = make();
  const source = new Parameter({ shape: [1, 3, 8], data: Array.from({ length: 24 }, (_, i) => Math.cos(i)), device });
  const x = randn([1, 2, 8]);
  const g = grad(() => layer.forward(x, { memory: nextMemory(undefined, source.value, 2) }).sum(), source);
  expect(await g.abs().max().item()).toBe(0);
  const kept = nextMemory(arange(6, { dtype: "f32" }).reshape([1, 6, 1]), tensor([[[6], [7]]]), 3);
  expect(await kept.reshape([-1]).array()).toEqual([5, 6, 7]);
});

test("a memory of zeros is not an empty one: its positions are seen", async () => {
  const layer = make();
  const x = randn([1, 2, 8]);
  const zeros = randn([1, 3, 8]).mul(0);
  const [empty, seen] = [await layer.forward(x).data(), await layer.forward(x, { memory: zeros }).data()];
  expect(empty.some((value, i) => Math.abs(value - seen[i]!) > 1e-3)).toBe(true);
});

test("norms memory and input alike", async () => {
  const norm = new RMSNorm({ dim: 8 });
  const [x, memory] = [randn([1, 2, 8]), randn([1, 3, 8])];
  await expect(make({ norm }).forward(x, { memory })).toBeCloseToTensor(
    make().forward(norm.forward(x), { memory: norm.forward(memory) }),
    close,
  );
});

test("refuses what does not fit", () => {
  expect(() => make({ numHeads: 3 })).toThrow("dim 8 must be a multiple of numHeads 3, or headDim be given");
  expect(() => make().forward(randn([2, 3, 5]))).toThrow("TransformerXLAttention: x must be [batch, length, 8], got [2, 3, 5].");
  expect(() => make().forward(randn([2, 3, 8]), { memory: randn([1, 3, 8]) })).toThrow("memory must be [2, length, 8], got [1, 3, 8]");
});
