import { grad, reference, type Shape, setDefaultDevice, sizeOf, Tensor, tensor } from "@x/tensor";
import { compareArrays, Stream } from "@x/testing";
import { beforeAll, describe, expect, test } from "vitest";
import { and, attention, blockMap, causal, decodeAttention, window, writeRows } from "../src/index.ts";

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

describe("what full attention has, decoding has", () => {
  const bias = () => draw("bias", [6, 9]);
  /** Full attention through a window with a bias and a soft cap; its last `rows` queries. */
  const whole = (rows: number) => {
    const map = blockMap(and(causal(), window(3)), { queries: 9, keys: 9, device: q().device });
    return attention({ q: q(), k: k(), v: v(), map, bias: bias() }, { scale, softcap: 1.5 }).slice(2, 9 - rows, 9);
  };
  const attrs = { scale, softcap: 1.5, window: 4 };
  const last = (rows: number) => q().slice(2, 9 - rows, 9);

  test.each([1, 2, 9])("a window, a bias by distance, a soft cap: the last %i of 9", async (rows) => {
    await expectEqual(decodeAttention({ q: last(rows), k: k(), v: v(), lengths: lengthsOf(9, 9), bias: bias() }, attrs), whole(rows));
  });

  test.each([
    [4, 1],
    [5, 1],
    [5, 2],
    [7, 3],
  ])("a ring of %i, %i at a time", async (capacity, rows) => {
    let [keys, values] = [cacheOf([2, 2, capacity, 4], Number.NaN), cacheOf([2, 2, capacity, 3], Number.NaN)];
    const outputs: Tensor[] = [];
    for (let at = 0; at < 9; at += rows) {
      const end = Math.min(9, at + rows);
      const starts = lengthsOf(at, at);
      keys = writeRows({ cache: keys, x: k().slice(2, at, end), starts }, { ring: true });
      values = writeRows({ cache: values, x: v().slice(2, at, end), starts }, { ring: true });
      const inputs = { q: q().slice(2, at, end), k: keys, v: values, lengths: lengthsOf(end, end), bias: bias() };
      outputs.push(decodeAttention(inputs, { ...attrs, ring: true }));
    }
    await expectEqual(Tensor.concat(outputs, 2), whole(9));
  });

  test.each([1, 2, 3, 9])("pages of %i positions in any order", async (page) => {
    const most = Math.ceil(9 / page);
    const pages = tensor(
      Array.from({ length: 2 * most }, (_, i) => 2 * most - i),
      { shape: [2, most], dtype: "i32" },
    );
    const pool = (dim: number) => cacheOf([2 * most + 1, 2, page, dim], Number.NaN);
    let [keys, values] = [pool(4), pool(3)];
    const outputs: Tensor[] = [];
    for (const [at, end] of [
      [0, 4],
      [4, 5],
      [5, 7],
      [7, 9],
    ] as const) {
      const starts = lengthsOf(at, at);
      keys = writeRows({ cache: keys, x: k().slice(2, at, end), starts, pages });
      values = writeRows({ cache: values, x: v().slice(2, at, end), starts, pages });
      const inputs = { q: q().slice(2, at, end), k: keys, v: values, lengths: lengthsOf(end, end), bias: bias(), pages };
      outputs.push(decodeAttention(inputs, attrs));
    }
    await expectEqual(Tensor.concat(outputs, 2), whole(9));
    const first = await keys.slice(0, 0, 1).data();
    expect(first.every(Number.isNaN), "the page of nobody").toBe(true);
  });

  test("8 bits are (code - 128) times the scale of their own position and head", async () => {
    const codes = (name: string, dim: number) =>
      tensor(
        Uint8Array.from(new Stream(name).normal(36 * dim), (x) => 128 + 40 * x),
        { shape: [2, 2, 9, dim], dtype: "u8" },
      );
    const scales = (name: string) =>
      tensor(
        Float64Array.from(new Stream(name).normal(36), (x) => 0.02 + 0.002 * x),
        { shape: [2, 2, 9, 1], dtype: "f64" },
      );
    const [kCodes, vCodes, keyScales, valueScales] = [codes("a", 4), codes("b", 3), scales("c"), scales("d")];
    const numbers = (x: Tensor, by: Tensor) => x.cast("f64").sub(128).mul(by);
    const inputs = { q: last(2), lengths: lengthsOf(9, 6) };
    await expectEqual(
      decodeAttention({ ...inputs, k: kCodes, v: vCodes, keyScales, valueScales }, { scale }),
      decodeAttention({ ...inputs, k: numbers(kCodes, keyScales), v: numbers(vCodes, valueScales) }, { scale }),
    );
  });
});

describe("misuse of what a cache may be", () => {
  const [small, i32] = [
    (...shape: number[]) => cacheOf(shape, 1),
    (...shape: number[]) => tensor(new Int32Array(sizeOf(shape)), { shape }),
  ];
  const inputs = () => ({ q: small(1, 2, 1, 4), k: small(1, 2, 6, 4), v: small(1, 2, 6, 4), lengths: i32(1) });
  const run =
    (more: object, attrs: object = {}) =>
    () =>
      decodeAttention({ ...inputs(), ...more }, { scale, ...attrs });

  test("is refused in words", () => {
    expect(run({}, { window: -1 })).toThrow(
      "decodeAttention: window must be how many keys a query sees, itself included, or 0 for all, got -1.",
    );
    expect(run({}, { softcap: -2 })).toThrow("decodeAttention: softcap must be the largest score, or 0 for none, got -2.");
    expect(run({ bias: small(2, 4) })).toThrow("decodeAttention: bias must be [2, 2 reach + 1]");
    expect(run({ pages: i32(1, 3) }, { ring: true })).toThrow("decodeAttention: a ring lies in one piece, so it has no pages.");
    expect(run({ pages: i32(6) })).toThrow("decodeAttention: pages must be i32 [batch, pages], got i32 [6].");
    expect(run({ k: i32(1, 2, 6, 4).cast("u8") })).toThrow("decodeAttention: k is u8, so it needs keyScales, f64 [1, 2, 6, 1].");
    expect(run({ keyScales: small(1, 2, 6, 1) })).toThrow("decodeAttention: keyScales are for a k of u8, got f64. Leave them out.");
    const x = small(2, 1, 1, 3);
    expect(() => writeRows({ cache: small(4, 1, 2, 3), x, starts: i32(2), pages: i32(1, 2) })).toThrow(
      "writeRows: x [2, 1, 1, 3] must agree with cache [4, 1, 2, 3] in pages [1, 2] on every axis but the length.",
    );
  });
});
