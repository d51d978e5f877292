import { grad, reference, type Shape, setDefaultDevice, sizeOf, Tensor, tensor } from "@x/tensor";
import { compareArrays, Stream } from "@x/testing";
import { beforeAll, expect, test } from "vitest";
import { attention, decodeAttention, writeRows } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const draw = (name: string, shape: Shape): Tensor => tensor(new Stream(name).normal(sizeOf(shape)), { shape, dtype: "f64" });
const cacheOf = (shape: Shape, value: number): Tensor => tensor(new Float64Array(sizeOf(shape)).fill(value), { shape, dtype: "f64" });
const lengthsOf = (...lengths: number[]): Tensor => tensor(Int32Array.from(lengths));

async function expectEqual(actual: Tensor, expected: Tensor): Promise<void> {
  const comparison = compareArrays(await actual.data(), await expected.data(), { atol: 1e-12, rtol: 1e-12, shape: expected.shape });
  expect(comparison.pass, comparison.report()).toBe(true);
}

const scale = 0.4;
const [q, k, v] = [[2, 6, 9, 4] as Shape, [2, 2, 9, 4] as Shape, [2, 2, 9, 3] as Shape].map(
  (shape, i) => () => draw(["q", "k", "v"][i]!, shape),
) as [() => Tensor, () => Tensor, () => Tensor];

test.each([
  ["one by one", [1, 1, 1, 1, 1, 1, 1, 1, 1]],
  ["a prompt, then one by one", [5, 1, 1, 1, 1]],
  ["in chunks", [3, 4, 2]],
])("decoding %s into a cache of NaN equals causal attention over all", async (_, chunks) => {
  const [queries, keys, values] = [q(), k(), v()];
  let [keyCache, valueCache] = [cacheOf([2, 2, 12, 4], Number.NaN), cacheOf([2, 2, 12, 3], Number.NaN)];
  const outputs: Tensor[] = [];
  let length = 0;
  for (const chunk of chunks) {
    const part = (x: Tensor) => x.slice(2, length, length + chunk);
    const starts = lengthsOf(length, length);
    keyCache = writeRows({ cache: keyCache, x: part(keys), starts });
    valueCache = writeRows({ cache: valueCache, x: part(values), starts });
    outputs.push(
      decodeAttention({ q: part(queries), k: keyCache, v: valueCache, lengths: lengthsOf(length + chunk, length + chunk) }, { scale }),
    );
    length += chunk;
  }
  await expectEqual(Tensor.concat(outputs, 2), attention({ q: queries, k: keys, v: values }, { scale, causal: true }));
});

test("each entry of the batch attends over its own length", async () => {
  const [keys, values] = [k(), v()];
  const query = q().slice(2, 0, 1);
  const together = decodeAttention({ q: query, k: keys, v: values, lengths: lengthsOf(4, 7) }, { scale });
  for (const [b, length] of [4, 7].entries()) {
    const own = (x: Tensor) => x.slice(0, b, b + 1);
    const alone = attention({ q: own(query), k: own(keys).slice(2, 0, length), v: own(values).slice(2, 0, length) }, { scale });
    await expectEqual(own(together), alone);
  }
});

test("a left-padded cache is seen through the key mask", async () => {
  const [keys, values] = [k(), v()];
  const query = q().slice(2, 0, 1);
  const keyMask = tensor(
    Array.from({ length: 18 }, (_, i) => i % 9 >= 2 || i >= 9),
    { shape: [2, 9] },
  );
  const together = decodeAttention({ q: query, k: keys, v: values, lengths: lengthsOf(6, 6), keyMask }, { scale });
  const own = (x: Tensor, from: number) => x.slice(0, 0, 1).slice(2, from, 6);
  await expectEqual(together.slice(0, 0, 1), attention({ q: query.slice(0, 0, 1), k: own(keys, 2), v: own(values, 2) }, { scale }));
});

test("an empty cache gives zeros", async () => {
  const o = decodeAttention(
    { q: q().slice(2, 0, 1), k: cacheOf([2, 2, 3, 4], Number.NaN), v: cacheOf([2, 2, 3, 3], Number.NaN), lengths: lengthsOf(0, 0) },
    { scale },
  );
  expect((await o.data()).every((x) => x === 0)).toBe(true);
});

test("NaN beyond the length stays out of gradients", async () => {
  const cache = {
    k: cacheOf([2, 2, 12, 4], Number.NaN),
    v: cacheOf([2, 2, 12, 3], Number.NaN),
    x: k().slice(2, 0, 5),
    y: v().slice(2, 0, 5),
  };
  const query = q().slice(2, 0, 2);
  const starts = lengthsOf(0, 0);
  const gradients = grad(
    () => {
      const [keys, values] = [writeRows({ cache: cache.k, x: cache.x, starts }), writeRows({ cache: cache.v, x: cache.y, starts })];
      return decodeAttention({ q: query, k: keys, v: values, lengths: lengthsOf(5, 3) }, { scale })
        .square()
        .sum();
    },
    { query, ...cache },
  );
  for (const [name, gradient] of Object.entries(gradients)) expect((await gradient.data()).every(Number.isFinite), name).toBe(true);
  const written = [...(await gradients.x.data())];
  const row = (entry: number, i: number) => written.slice((entry * 10 + i) * 4, (entry * 10 + i + 1) * 4);
  expect(row(0, 4).every((x) => x === 0)).toBe(false);
  expect(row(1, 3)).toEqual([0, 0, 0, 0]);
});

test("rows outside the cache are dropped", async () => {
  const cache = tensor([1, 2, 3, 4], { shape: [1, 1, 4, 1] });
  const x = tensor([10, 20, 30], { shape: [1, 1, 3, 1] });
  const write = async (start: number) => [...(await writeRows({ cache, x, starts: lengthsOf(start) }).data())];
  expect(await write(1)).toEqual([1, 10, 20, 30]);
  expect(await write(3)).toEqual([1, 2, 3, 10]);
  expect(await write(-2)).toEqual([30, 2, 3, 4]);
  expect(await write(9)).toEqual([1, 2, 3, 4]);
});
