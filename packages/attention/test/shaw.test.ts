import { withTraining } from "@x/nn";
import { softmax } from "@x/ops";
import { arange, Generator, grad, ones, randn, reference, setDefaultDevice, type Tensor, tensor, withGenerator } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, expect, test } from "vitest";
import { ShawAttention, type ShawOptions } from "../src/index.ts";
import { byDistance, byKey } from "../src/relative-shift.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));
const close = { atol: 2e-6, rtol: 1e-5 };

const make = (options: Partial<ShawOptions> = {}) =>
  withGenerator(new Generator({ seed: 2, device }), () => new ShawAttention({ dim: 8, numHeads: 2, maxDistance: 2, ...options }));

/** The formula pair by pair: embeddings [length, length, headDim] of every distance. */
function formula(layer: ShawAttention, x: Tensor, sees: (i: number, j: number) => boolean = () => true): Tensor {
  const [batch, length] = x.shape as [number, number];
  const heads = (y: Tensor) => y.reshape([batch, length, 2, 4]).permute([0, 2, 1, 3]);
  const [q, k, v] = [layer.query, layer.key, layer.value].map((linear) => heads(linear.forward(x))) as [Tensor, Tensor, Tensor];
  const rows = Int32Array.from(
    { length: length * length },
    (_, at) => Math.max(-2, Math.min(2, (at % length) - Math.floor(at / length))) + 2,
  );
  const pairs = (table: Tensor) => table.take(tensor(rows, { shape: [length, length] }), 0);
  const a = pairs(layer.keyDistances.value);
  const scores = q.unsqueeze(3).mul(k.unsqueeze(2).add(a)).sum(-1).div(2);
  const seen = tensor(
    Array.from(rows, (_, at) => sees(Math.floor(at / length), at % length)),
    { shape: [length, length] },
  ).expand(scores.shape);
  const weights = softmax({ x: seen.where(scores, -1e30) });
  const values = layer.valueDistances ? v.unsqueeze(2).add(pairs(layer.valueDistances.value)) : v.unsqueeze(2);
  const o = weights.unsqueeze(-1).mul(values).sum(3);
  return layer.output.forward(o.permute([0, 2, 1, 3]).reshape([batch, length, 8]));
}

test.each([
  ["both ways", {}],
  ["causal", { causal: true }],
  ["keys alone, as BERT's relative_key", { relativeValues: false }],
])("is the paper's formula, with its gradients: %s", async (_, options) => {
  const layer = make(options);
  const sees = (i: number, j: number) => !layer.causal || j <= i;
  for (const length of [1, 2, 7]) {
    const x = randn([2, length, 8]);
    await expect(layer.forward(x)).toBeCloseToTensor(formula(layer, x, sees), close);
    const parameters = [...layer.namedParameters().values()];
    const gradients = (run: () => Tensor) => grad(() => run().square().sum(), parameters);
    const [ours, theirs] = [gradients(() => layer.forward(x)), gradients(() => formula(layer, x, sees))];
    for (const [i, g] of ours.entries()) await expect(g).toBeCloseToTensor(theirs[i]!, { atol: 1e-4, rtol: 1e-4 });
  }
});

test("hidden keys change nothing, and a row that sees none is the bias", async () => {
  const layer = make();
  const x = randn([1, 3, 8]);
  const mask = tensor([[true, true, false]]);
  const y = layer.forward(x, { keyMask: mask });
  await expect(y.slice(1, 0, 2)).toBeCloseToTensor(layer.forward(x.slice(1, 0, 2)), close);
  const none = layer.forward(x, { keyMask: tensor([[false, false, false]]) });
  await expect(none).toBeCloseToTensor(layer.output.bias!.value.expand([1, 3, 8]), close);
});

test("weights are dropped while training alone", async () => {
  const layer = make({ dropout: 1 });
  const x = randn([1, 3, 8]);
  const training = withGenerator(new Generator({ seed: 1, device }), () => withTraining(true, () => layer.forward(x)));
  await expect(training).toBeCloseToTensor(layer.output.bias!.value.expand([1, 3, 8]), close);
  await expect(layer.forward(x)).toBeCloseToTensor(make().forward(x), close);
});

test("the shift and its way back, of lengths that differ", async () => {
  const x = arange(3 * 6).reshape([3, 6]);
  expect(await byKey(x).array()).toEqual([
    [2, 3, 4, 5],
    [7, 8, 9, 10],
    [12, 13, 14, 15],
  ]);
  const y = ones([3, 4]).mul(arange(4, { dtype: "f32" }).add(1));
  expect(await byDistance(y).array()).toEqual([
    [0, 0, 1, 2, 3, 4],
    [0, 1, 2, 3, 4, 0],
    [1, 2, 3, 4, 0, 0],
  ]);
  expect(await byKey(byDistance(y)).array()).toEqual(await y.array());
});

test("refuses what does not fit", () => {
  expect(() => make({ numHeads: 3 })).toThrow("ShawAttention: dim 8 must be a multiple of numHeads 3.");
  expect(() => make().forward(randn([2, 3, 5]))).toThrow("ShawAttention: x must be [batch, length, 8], got [2, 3, 5].");
});
