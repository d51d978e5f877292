import { AlibiBias, RotaryPositions, T5RelativeBias } from "@x/posenc";
import { arange, compile, Generator, randn, reference, scope, setDefaultDevice, Tensor, tensor, withGenerator } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { type AttentionOptions, type DistanceBias, KvCache, SelfAttention } from "../src/index.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));
const close = { atol: 2e-6, rtol: 1e-5 };

/** Two layers, one after the other, with shared heads and rotary positions: what a cache must serve. */
class Pair {
  readonly layers: readonly SelfAttention[];
  constructor(more: Partial<AttentionOptions> = {}) {
    const rotation = new RotaryPositions({ headDim: 4, maxLength: 256 });
    const options = { dim: 8, numHeads: 4, numKvHeads: 2, headDim: 4, causal: true, rotation, ...more };
    this.layers = withGenerator(new Generator({ seed: 3, device }), () => [new SelfAttention(options), new SelfAttention(options)]);
  }
  whole(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => y.add(layer.forward(y, { positions: arange(x.shape[1]!) })), x);
  }
  cached(x: Tensor, cache: KvCache): Tensor {
    const count = x.shape[1]!;
    cache.checkRoom(x.shape);
    const positions = cache.positions(count);
    const y = this.layers.reduce(
      (y, layer, i) => y.add(layer.forward(y, { positions, cache: cache.layers[i], total: cache.length + count })),
      x,
    );
    cache.advance(count);
    return y;
  }
  cache(batch: number, capacity: number): KvCache {
    return new KvCache({ batch, capacity, numLayers: 2, numKvHeads: 2, headDim: 4 });
  }
}
const pair = () => new Pair();
const span = (x: Tensor, from: number, to: number): Tensor => x.slice(1, from, to);
const ids = (...rows: number[]): Tensor => tensor(Int32Array.from(rows));

test("whatever the chunks, the cache gives what the whole sequence gives", async () => {
  const model = pair();
  const x = randn([2, 9, 8]);
  const whole = model.whole(x);
  const chunks = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 9 });
  await fc.assert(
    fc.asyncProperty(chunks, async (sizes) => {
      const cache = model.cache(2, 11);
      let at = 0;
      for (const size of sizes) {
        const end = Math.min(9, at + size);
        if (end > at) await expect(model.cached(span(x, at, end), cache)).toBeCloseToTensor(span(whole, at, end), close);
        at = end;
      }
      expect(cache.length).toBe(at);
      cache.dispose();
    }),
    { numRuns: 12 },
  );
});

test.each<[string, () => DistanceBias]>([
  ["ALiBi", () => new AlibiBias({ numHeads: 4 })],
  ["T5's buckets", () => new T5RelativeBias({ numHeads: 4, numBuckets: 6, maxDistance: 5, bidirectional: false })],
  ["one number a distance, farther than the cache", () => new T5RelativeBias({ numHeads: 4, maxDistance: 100 })],
])("a bias by distance acts over a cache: %s", async (_, make) => {
  const distanceBias = withGenerator(new Generator({ seed: 4, device }), make);
  const model = new Pair({ distanceBias });
  const x = randn([2, 9, 8]);
  const whole = model.whole(x);
  await expect(expect(whole).toBeCloseToTensor(new Pair().whole(x), close)).rejects.toThrow();
  const cache = model.cache(2, 11);
  for (const [from, to] of [
    [0, 4],
    [4, 5],
    [5, 8],
    [8, 9],
  ] as const)
    await expect(model.cached(span(x, from, to), cache)).toBeCloseToTensor(span(whole, from, to), close);
});

test("left-padded rows give at every step what they give alone", async () => {
  const model = pair();
  const padding = [3, 0, 1];
  const rows = padding.map((count) => randn([1, 10 - count, 8]));
  const x = Tensor.concat(
    rows.map((row, i) => Tensor.concat([randn([1, padding[i]!, 8]), row], 1)),
    0,
  );
  const alone = rows.map((row) => model.whole(row));
  const cache = model.cache(3, 10);
  cache.reset(padding);
  for (const [from, to] of [
    [0, 4],
    [4, 5],
    [5, 8],
    [8, 10],
  ] as const) {
    expect(await cache.positions(to - from).array()).toEqual(
      padding.map((count) => Array.from({ length: to - from }, (_, i) => Math.max(0, from + i - count))),
    );
    const y = model.cached(span(x, from, to), cache);
    expect([...(await y.data())].every(Number.isFinite)).toBe(true);
    for (const [i, count] of padding.entries()) {
      const start = Math.max(from, count);
      await expect(y.slice(0, i, i + 1).slice(1, start - from, to - from)).toBeCloseToTensor(
        span(alone[i]!, start - count, to - count),
        close,
      );
    }
  }
});

test("a compiled step goes on where an eager prefill ended", async () => {
  const model = pair();
  const x = randn([2, 8, 8]);
  const whole = model.whole(x);
  const cache = model.cache(2, 8);
  const step = compile(({ x }: { x: Tensor }) => model.cached(x, cache));
  model.cached(span(x, 0, 3), cache);
  for (let at = 3; at < 8; at++) {
    const y = step({ x: span(x, at, at + 1) });
    cache.counted(1);
    await expect(y).toBeCloseToTensor(span(whole, at, at + 1), close);
  }
  expect(cache.length).toBe(8);
  expect([...(await cache.lengths.data())]).toEqual([8, 8]);
  step.release();
});

describe("a cache of another course", () => {
  /** A cache that holds the first five of eight positions of three rows, and what the next ones give. */
  const begun = () => {
    const model = pair();
    const x = randn([3, 8, 8]);
    const cache = model.cache(3, 8);
    model.cached(span(x, 0, 5), cache);
    return { model, x, cache, whole: model.whole(x) };
  };

  test("fork: the copy and the original do not disturb each other", async () => {
    const { model, x, cache, whole } = begun();
    const copy = cache.fork();
    model.cached(randn([3, 3, 8]), copy);
    await expect(model.cached(span(x, 5, 8), cache)).toBeCloseToTensor(span(whole, 5, 8), close);
    copy.dispose();
    expect(cache.length).toBe(8);
  });

  test("gather: rows in another order, repeated", async () => {
    const { model, x, cache, whole } = begun();
    cache.gather(ids(2, 0, 0));
    const next = x.take(ids(2, 0, 0), 0);
    await expect(model.cached(span(next, 5, 6), cache)).toBeCloseToTensor(span(whole.take(ids(2, 0, 0), 0), 5, 6), close);
  });

  test("select: another number of rows, and the original stays", async () => {
    const { model, x, cache, whole } = begun();
    const five = cache.select([1, 1, 0, 2, 2]);
    const rows = ids(1, 1, 0, 2, 2);
    await expect(model.cached(span(x.take(rows, 0), 5, 7), five)).toBeCloseToTensor(span(whole.take(rows, 0), 5, 7), close);
    await expect(model.cached(span(x, 5, 6), cache)).toBeCloseToTensor(span(whole, 5, 6), close);
    expect([five.batch, five.length, cache.length]).toEqual([5, 7, 6]);
  });

  test("select and gather keep each row's padding", async () => {
    const model = pair();
    const cache = model.cache(2, 6);
    cache.reset([2, 0]);
    model.cached(randn([2, 3, 8]), cache);
    expect(await cache.select([1, 0, 0]).positions(1).array()).toEqual([[3], [1], [1]]);
    cache.gather(ids(1, 1));
    expect(await cache.positions(1).array()).toEqual([[3], [3]]);
  });

  test("truncate: what came after is forgotten and written anew", async () => {
    const { model, x, cache, whole } = begun();
    model.cached(randn([3, 2, 8]), cache);
    cache.truncate(5);
    await expect(model.cached(span(x, 5, 8), cache)).toBeCloseToTensor(span(whole, 5, 8), close);
  });

  test("reset: from the start, over what stood there, be it no number", async () => {
    const { model, cache } = begun();
    model.cached(tensor(new Float32Array(72).fill(Number.NaN), { shape: [3, 3, 8] }), cache);
    cache.reset([0, 2, 1]);
    const x = randn([3, 4, 8]);
    const y = model.cached(x, cache);
    await expect(y.slice(0, 1, 2).slice(1, 2, 4)).toBeCloseToTensor(model.whole(x.slice(0, 1, 2).slice(1, 2, 4)), close);
    expect([...(await model.cached(randn([3, 1, 8]), cache).data())].every(Number.isFinite)).toBe(true);
  });
});

test("two hundred compiled steps take no more memory than the first", () => {
  const model = pair();
  const cache = model.cache(1, 205);
  const run = compile(({ x }: { x: Tensor }) => model.cached(x, cache));
  const step = () => {
    scope(() => void run({ x: randn([1, 1, 8]) }));
    cache.counted(1);
  };
  model.cached(randn([1, 4, 8]), cache).dispose();
  step();
  const { live, buffers } = device.memory();
  for (let i = 0; i < 200; i++) step();
  expect(device.memory()).toMatchObject({ live, buffers });
  run.release();
  cache.dispose();
  expect(device.memory().live).toBeLessThan(live);
});

describe("misuse", () => {
  test("what does not fit is refused before anything is written", async () => {
    const model = pair();
    const cache = model.cache(2, 4);
    model.cached(randn([2, 3, 8]), cache);
    const before = [...(await cache.lengths.data())];
    expect(() => model.cached(randn([2, 2, 8]), cache)).toThrow("2 more positions do not fit: 3 of 4 are filled");
    expect(() => model.cached(randn([1, 1, 8]), cache)).toThrow("tokens are [1, 1], but the state has 2 rows");
    expect([...(await cache.lengths.data())]).toEqual(before);
    expect(() => cache.checkRoom([2, 1], 3)).toThrow("1 positions after 3 pass the model's maxLength 3 in every row");
    cache.reset([1, 0]);
    cache.counted(3);
    expect(() => cache.checkRoom([2, 1], 3)).not.toThrow();
  });

  test("rows, lengths and paddings out of range are refused", () => {
    const cache = pair().cache(2, 4);
    expect(() => cache.gather(ids(0))).toThrow("rows must be i32 [2], got [1]");
    expect(() => cache.select([0, 2])).toThrow("rows must be from 0 to 1, got 2");
    expect(() => cache.truncate(1)).toThrow("length must be from 0 to the 0 positions filled, got 1");
    expect(() => cache.reset([1])).toThrow("padding must be 2 counts from 0 to the capacity 4, one a row, got [1]");
    expect(() => cache.reset([5, 0])).toThrow("padding must be 2 counts");
    expect(() => new KvCache({ batch: 0, capacity: 1, numLayers: 1, numKvHeads: 1, headDim: 1 })).toThrow(
      "KvCache: batch must be a positive integer, got 0",
    );
  });

  test("a layer that is not causal has no use for a cache", () => {
    const layer = new SelfAttention({ dim: 8, numHeads: 2 });
    const cache = new KvCache({ batch: 1, capacity: 4, numLayers: 1, numKvHeads: 2, headDim: 4 });
    expect(() => layer.forward(randn([1, 1, 8]), { cache: cache.layers[0] })).toThrow("a cache needs causal attention");
  });
});
