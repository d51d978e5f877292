import { type Linear, Module, withTraining } from "@x/nn";
import { dropout, softmax } from "@x/ops";
import { AlibiBias, alibiSlopes, T5RelativeBias, t5Bucket, XPosPositions } from "@x/posenc";
import { arange, compile, Generator, grad, Parameter, randn, reference, setDefaultDevice, Tensor, tensor, withGenerator } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type AttentionOptions,
  and,
  blocks,
  CrossAttention,
  causal,
  dilated,
  KvCache,
  SelfAttention,
  segments,
  window,
} from "../src/index.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));

const make = (options: Partial<AttentionOptions> = {}): SelfAttention =>
  withGenerator(new Generator({ seed: 1, device }), () => new SelfAttention({ dim: 8, numHeads: 2, causal: true, ...options }));
const close = { atol: 2e-6, rtol: 1e-5 };

/** A table that is learned: one number for each head and distance up to a reach, then clamped. */
class Table extends Module {
  readonly table = new Parameter({ shape: [2, 9], data: Array.from({ length: 18 }, (_, i) => Math.sin(i)), device });
  forward(): Tensor {
    return this.table.value;
  }
}

/** Dense attention of a layer's own projections, with scores changed and weights thinned. */
function dense(layer: SelfAttention, x: Tensor, change: (scores: Tensor) => Tensor, thin = (weights: Tensor) => weights): Tensor {
  const length = x.shape[1]!;
  const heads = (linear: Linear) => linear.forward(x).reshape([x.shape[0]!, length, 2, 4]).permute([0, 2, 1, 3]);
  const [q, k, v] = [heads(layer.query), heads(layer.key), heads(layer.value)];
  const weights = softmax({ x: change(q.matmul(k.transpose()).mul(layer.scale)) });
  return layer.output.forward(thin(weights).matmul(v).permute([0, 2, 1, 3]).reshape([x.shape[0]!, length, 8]));
}
const hidden = (scores: Tensor, sees: (i: number, j: number) => boolean): Tensor => {
  const length = scores.shape[3]!;
  const seen = tensor(
    Array.from({ length: length * length }, (_, i) => sees(Math.floor(i / length), i % length)),
    { shape: [length, length] },
  );
  return seen.expand(scores.shape).where(scores, -1e30);
};

test("a pattern says who may look at whom, and causal still holds", async () => {
  const ids = [0, 0, 0, 1, 1, 2, 2, 2, 2];
  const layer = make({ pattern: segments(ids) });
  const x = randn([2, 9, 8]);
  await expect(layer.forward(x)).toBeCloseToTensor(
    dense(layer, x, (s) => hidden(s, (i, j) => j <= i && ids[i] === ids[j])),
    close,
  );
});

test("documents packed in a row are what they are alone", async () => {
  const layer = make({ pattern: segments([0, 0, 0, 0, 1, 1, 1]) });
  const alone = make();
  const x = randn([1, 7, 8]);
  const parts = [x.slice(1, 0, 4), x.slice(1, 4, 7)].map((part) => alone.forward(part));
  await expect(layer.forward(x)).toBeCloseToTensor(Tensor.concat(parts, 1), close);
});

test("a bias by distance and a soft cap, with the gradient of the table", async () => {
  const table = new Table();
  const layer = make({ distanceBias: table, softcap: 1.5, causal: false });
  const x = randn([2, 7, 8]);
  const byPair = () => {
    const distance = arange(7)
      .sub(arange(7).reshape([7, 1]))
      .maximum(-4)
      .minimum(4)
      .add(4);
    return table.table.value.take(distance.reshape([49]), 1).reshape([2, 7, 7]);
  };
  const other = () => dense(layer, x, (s) => s.div(1.5).tanh().mul(1.5).add(byPair()));
  await expect(layer.forward(x)).toBeCloseToTensor(other(), close);
  const gradient = (run: () => Tensor) => grad(() => run().square().sum(), [table.table])[0]!;
  await expect(gradient(() => layer.forward(x))).toBeCloseToTensor(gradient(other), { atol: 1e-4, rtol: 1e-4 });
});

test("ALiBi and T5's buckets add what their formulas say, at any length", async () => {
  const alibi = new AlibiBias({ numHeads: 2 });
  const buckets = new T5RelativeBias({ numHeads: 2, numBuckets: 4, maxDistance: 3 });
  const weight = await buckets.weight.value.data();
  const slopes = alibiSlopes(2);
  const by = (length: number, bias: (head: number, distance: number) => number) =>
    tensor(
      Float32Array.from({ length: 2 * length * length }, (_, at) =>
        bias(Math.floor(at / length ** 2), (at % length) - (Math.floor(at / length) % length)),
      ),
      { shape: [2, length, length] },
    );
  for (const length of [1, 2, 9]) {
    const x = randn([2, length, 8]);
    const past = make({ distanceBias: alibi });
    await expect(past.forward(x)).toBeCloseToTensor(
      dense(past, x, (s) => hidden(s.add(by(length, (head, d) => -slopes[head]! * Math.abs(d))), (i, j) => j <= i)),
      close,
    );
    const both = make({ distanceBias: buckets, causal: false, scale: 1 });
    await expect(both.forward(x)).toBeCloseToTensor(
      dense(both, x, (s) => s.add(by(length, (head, d) => weight[2 * t5Bucket(d, buckets.buckets) + head]!))),
      close,
    );
  }
});

test("keys may be turned otherwise than queries", async () => {
  const rotation = new XPosPositions({ headDim: 4, maxLength: 64, scaleBase: 8 });
  const layer = make({ rotation });
  const x = randn([1, 6, 8]);
  const positions = arange(6);
  const heads = (linear: Linear) => linear.forward(x).reshape([1, 6, 2, 4]).permute([0, 2, 1, 3]);
  const [q, k, v] = [
    rotation.forward(heads(layer.query), positions),
    rotation.forwardKeys(heads(layer.key), positions),
    heads(layer.value),
  ];
  const weights = softmax({ x: hidden(q.matmul(k.transpose()).mul(layer.scale), (i, j) => j <= i) });
  const expected = layer.output.forward(weights.matmul(v).permute([0, 2, 1, 3]).reshape([1, 6, 8]));
  await expect(layer.forward(x, { positions })).toBeCloseToTensor(expected, close);
});

test("cross-attention takes the same parts", async () => {
  const layer = withGenerator(
    new Generator({ seed: 1, device }),
    () => new CrossAttention({ dim: 8, numHeads: 2, pattern: and(causal(), window(2)) }),
  );
  const [x, memory] = [randn([1, 3, 8]), randn([1, 5, 8])];
  const y = layer.forward(x, memory);
  // The first query stands at key 2 and sees keys 0 to 2.
  const first = layer.forward(x.slice(1, 0, 1), memory.slice(1, 0, 3));
  await expect(y.slice(1, 0, 1)).toBeCloseToTensor(first, close);
});

describe("dropout of the weights", () => {
  const x = () => randn([2, 5, 8], { generator: new Generator({ seed: 5, device }) });
  const drawn = (run: () => Tensor) => withGenerator(new Generator({ seed: 9, device }), () => withTraining(true, run));

  test("acts while training alone", async () => {
    const layer = make({ dropout: 0.5 });
    await expect(layer.forward(x())).toBeCloseToTensor(make().forward(x()), close);
    const other = drawn(() =>
      dense(
        layer,
        x(),
        (s) => hidden(s, (i, j) => j <= i),
        (weights) => dropout(weights, 0.5),
      ),
    );
    await expect(drawn(() => layer.forward(x()))).toBeCloseToTensor(other, close);
  });

  test("compiled is eager over steps, each with a draw of its own", async () => {
    const run = (eager: boolean) => {
      const layer = make({ dropout: 0.4 });
      const generator = new Generator({ seed: 11, device });
      const body = ({ x }: { x: Tensor }) =>
        withTraining(true, () => ({ g: grad(() => layer.forward(x).square().sum(), [layer.query.weight!])[0]! }));
      const step = compile(body, { device, eager });
      const data = Array.from({ length: 40 }, (_, i) => Math.cos(i));
      return async () => [...(await withGenerator(generator, () => step({ x: { data, shape: [1, 5, 8] } }).g).data())];
    };
    const [compiled, eager] = [run(false), run(true)];
    const seen = new Set<string>();
    for (let i = 0; i < 6; i++) {
      const gradient = await compiled();
      expect(gradient).toEqual(await eager());
      seen.add(gradient.join());
    }
    expect(seen.size).toBe(6);
  });
});

test("what a cache does not do is refused by name", () => {
  const cache = new KvCache({ batch: 1, capacity: 8, numLayers: 1, numKvHeads: 2, headDim: 4 });
  const over = (options: Partial<AttentionOptions>) => () => make(options).forward(randn([1, 3, 8]), { cache: cache.layers[0] });
  expect(over({ pattern: segments([0, 0, 1]) })).toThrow(/SelfAttention: pattern does not act over a cache/);
  expect(over({ pattern: dilated(2, 2) })).toThrow(
    /pattern does not act over a cache, as it is neither a sliding window nor made of blocks/,
  );
  expect(over({ pattern: blocks([[0, 0]], { size: 8 }) })).toThrow(/pattern does not act over a cache, as it counts keys more than once/);
  expect(() => withTraining(true, over({ dropout: 0.5 }))).toThrow(/dropout does not act over a cache/);
  expect(() => make({ dropout: 2 })).toThrow(/SelfAttention: dropout .* got 2/);
  expect(() => make({ softcap: -1 })).toThrow(/SelfAttention: softcap .* got -1/);
});
