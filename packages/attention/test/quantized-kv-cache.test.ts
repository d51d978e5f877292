import { Generator, randn, reference, setDefaultDevice, type Tensor, tensor } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, expect, test } from "vitest";
import { type CachedLook, KvCache, QuantizedKvCache } from "../src/index.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));

const heads = { numLayers: 1, numKvHeads: 2, headDim: 6 };
const drawn = (shape: readonly number[], seed: number) => randn([...shape], { generator: new Generator({ seed, device }) });
const look: CachedLook = {
  ...{ scale: 0.4, softcap: 0, window: 0 },
  bias: () => undefined,
  whole: () => {
    throw new Error("A first call of one position has no need of it.");
  },
};

/** Rows of 6 rounded to 255 steps between their largest magnitudes, by plain arithmetic. */
async function rounded(x: Tensor): Promise<{ x: Tensor; worst: number }> {
  const values = Float32Array.from(await x.data());
  let worst = 0;
  for (let row = 0; row < values.length; row += 6) {
    const largest = Math.max(...values.slice(row, row + 6).map(Math.abs));
    const scale = Math.fround(largest / 127);
    for (let i = row; i < row + 6; i++) {
      const kept = scale === 0 ? 0 : Math.round(values[i]! / scale) * scale;
      worst = Math.max(worst, largest === 0 ? 0 : Math.abs(kept - values[i]!) / largest);
      values[i] = kept;
    }
  }
  return { x: tensor(values, { shape: x.shape }), worst };
}

test("what is kept is each position's own rounding, within 1 / 254 of its largest", async () => {
  const cache = new QuantizedKvCache({ batch: 2, capacity: 9, ...heads });
  const plain = new KvCache({ batch: 2, capacity: 9, ...heads });
  for (let at = 0; at < 9; at++) {
    const q = drawn([2, 4, 1, 6], at);
    // Positions and heads of very different size, one of them zero: with another's scale they would be nothing, or everything.
    const size = tensor([1, 100, at === 4 ? 0 : 1e-3, 10 ** at], { shape: [2, 2, 1, 1] });
    const [k, v] = [drawn([2, 2, 1, 6], 20 + at).mul(size), drawn([2, 2, 1, 6], 40 + at).mul(size)];
    const [kept, values] = [await rounded(k), await rounded(v)];
    expect(Math.max(kept.worst, values.worst)).toBeLessThanOrEqual(1 / 254 + 1e-6);
    const o = cache.layers[0]!.attend({ q, k, v }, look);
    const expected = plain.layers[0]!.attend({ q, k: kept.x, v: values.x }, look);
    await expect(o).toBeCloseToTensor(expected, { atol: 1e-4, rtol: 1e-4 });
    for (const each of [cache, plain]) each.advance(1);
  }
});

test("memory: 8 bits beside 32, and fewer heads", () => {
  const bytes = (numKvHeads: number, Cache: typeof KvCache | typeof QuantizedKvCache) =>
    new Cache({ batch: 2, capacity: 16, numLayers: 3, numKvHeads, headDim: 64 }).bytes;
  expect(bytes(8, KvCache)).toBe(2 * 3 * 2 * 8 * 16 * 64 * 4);
  expect(bytes(2, KvCache)).toBe(bytes(8, KvCache) / 4);
  expect(bytes(1, KvCache)).toBe(bytes(8, KvCache) / 8);
  expect(bytes(8, QuantizedKvCache)).toBe((bytes(8, KvCache) * (64 + 4)) / (64 * 4));
  expect(new KvCache({ batch: 2, capacity: 16, numLayers: 3, numKvHeads: 8, headDim: 64, dtype: "f16" }).bytes).toBe(bytes(8, KvCache) / 2);
});

test("keys and values of different widths", () => {
  const cache = new QuantizedKvCache({ batch: 1, capacity: 4, numLayers: 1, numKvHeads: 1, headDim: 8, valueDim: 3 });
  expect(cache.bytes).toBe(4 * (8 + 4 + 3 + 4));
  const o = cache.layers[0]!.attend({ q: drawn([1, 2, 1, 8], 1), k: drawn([1, 1, 1, 8], 2), v: drawn([1, 1, 1, 3], 3) }, look);
  expect(o.shape).toEqual([1, 2, 1, 3]);
});
