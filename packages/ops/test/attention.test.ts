import { everyOutput, grad, reference, type Shape, setDefaultDevice, sizeOf, Tensor, tensor } from "@x/tensor";
import { compareArrays, Stream } from "@x/testing";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { attention } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const draw = (name: string, shape: Shape): Tensor => tensor(new Stream(name).normal(sizeOf(shape)), { shape, dtype: "f64" });

interface Size {
  readonly batch: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly queries: number;
  readonly keys: number;
  readonly dim: number;
  readonly causal: boolean;
}

/** The definition, loop by loop: query head h reads key-value head floor(h / group), and causal row i sees keys up to i + keys - queries. */
function definition(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  size: Size,
  scale: number,
  sees: (b: number, key: number) => boolean,
): number[] {
  const { batch, kvHeads, group, queries, keys, dim, causal } = size;
  const out: number[] = [];
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < kvHeads * group; h++)
      for (let i = 0; i < queries; i++) {
        const row = (b * kvHeads + Math.floor(h / group)) * keys;
        const at = ((b * kvHeads * group + h) * queries + i) * dim;
        const seen = Array.from({ length: keys }, (_, j) => j).filter((j) => sees(b, j) && (!causal || j <= i + keys - queries));
        const dot = (j: number) => Array.from({ length: dim }, (_, d) => q[at + d]! * k[(row + j) * dim + d]!).reduce((a, c) => a + c, 0);
        const weights = seen.map((j) => Math.exp(scale * dot(j)));
        const total = weights.reduce((a, c) => a + c, 0);
        for (let d = 0; d < dim; d++) out.push(seen.reduce((sum, j, n) => sum + (weights[n]! / total) * v[(row + j) * dim + d]!, 0));
      }
  return out;
}

const sizes = fc.record({
  batch: fc.integer({ min: 1, max: 2 }),
  kvHeads: fc.integer({ min: 1, max: 3 }),
  group: fc.integer({ min: 1, max: 3 }),
  queries: fc.integer({ min: 1, max: 5 }),
  keys: fc.integer({ min: 1, max: 6 }),
  dim: fc.integer({ min: 1, max: 4 }),
  causal: fc.boolean(),
  mask: fc.option(fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), { nil: undefined }),
});

test("equals its definition for any shape, grouping and mask", () =>
  fc.assert(
    fc.asyncProperty(sizes, async ({ mask, ...size }) => {
      const { batch, kvHeads, group, queries, keys, dim, causal } = size;
      const q = draw("q", [batch, kvHeads * group, queries, dim]);
      const [k, v] = [draw("k", [batch, kvHeads, keys, dim]), draw("v", [batch, kvHeads, keys, dim])];
      const keyMask = mask && tensor(mask.slice(0, batch * keys), { shape: [batch, keys] });
      const o = attention({ q, k, v, keyMask }, { scale: 0.8, causal });
      const expected = definition(await q.data(), await k.data(), await v.data(), size, 0.8, (b, j) => mask?.[b * keys + j] ?? true);
      const comparison = compareArrays(await o.data(), expected, { atol: 1e-12, rtol: 1e-12 });
      expect(comparison.pass, comparison.report()).toBe(true);
    }),
    { numRuns: 60 },
  ));

test("causal with 2 queries and 5 keys: the first query sees 4 keys, the last all", async () => {
  const v = tensor([1, 10, 100, 1000, 10000], { shape: [1, 1, 5, 1] });
  const o = attention({ q: tensor([0, 0], { shape: [1, 1, 2, 1] }), k: v, v }, { scale: 1, causal: true });
  expect([...(await o.data())]).toEqual([1111 / 4, 11111 / 5].map(Math.fround));
});

test("rows that see nothing give zeros, an lse of +infinity, and zero gradients that are no NaN", async () => {
  const [q, k, v] = [draw("q", [2, 2, 5, 3]), draw("k", [2, 1, 2, 3]), draw("v", [2, 1, 2, 3])];
  const keyMask = tensor([true, true, false, false], { shape: [2, 2] });
  const attrs = { scale: 1, causal: true };
  const { o, lse } = everyOutput(attention, { q, k, v, keyMask }, attrs) as { o: Tensor; lse: Tensor };
  const empty = (b: number, i: number) => b === 1 || i < 3;
  const gradients = grad(() => attention({ q, k, v, keyMask }, attrs).square().sum().add(attention({ q, k, v, keyMask }, attrs).sum()), {
    q,
    k,
    v,
  });
  const [out, sums, dq] = [await o.data(), await lse.data(), await gradients.q.data()];
  for (const [row, sum] of sums.entries()) {
    const isEmpty = empty(Math.floor(row / 10), row % 5);
    expect(sum === Number.POSITIVE_INFINITY).toBe(isEmpty);
    const zero = (data: typeof out) => [...data.subarray(row * 3, row * 3 + 3)].every((x) => x === 0);
    expect(zero(out)).toBe(isEmpty);
    // A row that sees one key has a constant weight of 1: its query has no gradient either.
    if (isEmpty || row % 5 === 4) expect(zero(dq)).toBe(isEmpty);
  }
  for (const gradient of Object.values(gradients)) expect((await gradient.data()).every(Number.isFinite)).toBe(true);
  expect([...(await gradients.k.data())].slice(6)).toEqual(new Array(6).fill(0));
});

test("large scores stay finite, and a shift of all of a row's scores changes nothing", async () => {
  const [q, k, v] = [draw("q", [1, 1, 3, 4]), draw("k", [1, 1, 5, 4]), draw("v", [1, 1, 5, 4])].map((x) => x.cast("f32")) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const huge = attention({ q, k, v }, { scale: 1e4 });
  expect((await huge.data()).every(Number.isFinite)).toBe(true);
  const ones = k.slice(3, 0, 1).onesLike();
  const shifted = (by: number) =>
    attention({ q: q.concatWith(q.slice(3, 0, 1).onesLike().mul(by), 3), k: k.concatWith(ones, 3), v }, { scale: 1 });
  const comparison = compareArrays(await shifted(500).data(), await shifted(0).data(), { atol: 2e-4, rtol: 2e-4 });
  expect(comparison.pass, comparison.report()).toBe(true);
});

test("a left-padded batch gives each row what it gives alone, whatever finite numbers the padding holds", async () => {
  const lengths = [5, 3, 1];
  const rows = lengths.map((length, b) => (["q", "k", "v"] as const).map((name) => draw(`${name}${b}`, [1, 2, length, 4])));
  const left = (x: Tensor) => [0, 0, 5 - x.shape[2]!, 0].map((before) => [before, 0] as const);
  const join = (at: number) =>
    Tensor.concat(
      rows.map((row) => row[at]!.pad(left(row[at]!), 1e3)),
      0,
    );
  const keyMask = tensor(
    lengths.flatMap((length) => Array.from({ length: 5 }, (_, j) => j >= 5 - length)),
    { shape: [3, 5] },
  );
  const attrs = { scale: 0.5, causal: true };
  const together = attention({ q: join(0), k: join(1), v: join(2), keyMask }, attrs);
  for (const [b, length] of lengths.entries()) {
    const [q, k, v] = rows[b]! as [Tensor, Tensor, Tensor];
    const own = together.slice(0, b, b + 1).slice(2, 5 - length, 5);
    const comparison = compareArrays(await own.data(), await attention({ q, k, v }, attrs).data(), { atol: 1e-12, rtol: 1e-12 });
    expect(comparison.pass, comparison.report()).toBe(true);
  }
  expect((await together.data()).every(Number.isFinite)).toBe(true);
});

test("grouped heads equal the same heads repeated, and their gradients the sums over each group", async () => {
  const [q, k, v] = [draw("q", [1, 6, 4, 3]), draw("k", [1, 2, 4, 3]), draw("v", [1, 2, 4, 3])];
  const repeat = (x: Tensor) => x.unsqueeze(2).expand([1, 2, 3, 4, 3]).reshape([1, 6, 4, 3]);
  const attrs = { scale: 0.6, causal: true };
  const grouped = grad(() => attention({ q, k, v }, attrs).square().sum(), [q, k, v]);
  const repeated = grad(
    () =>
      attention({ q, k: repeat(k), v: repeat(v) }, attrs)
        .square()
        .sum(),
    [q, k, v],
  );
  for (const [i, gradient] of grouped.entries()) {
    const comparison = compareArrays(await gradient.data(), await repeated[i]!.data(), { atol: 1e-12, rtol: 1e-12 });
    expect(comparison.pass, comparison.report()).toBe(true);
  }
});

test("lse is the log of the sum of the exponentials of the scaled scores", async () => {
  const [q, k] = [draw("q", [1, 2, 3, 4]), draw("k", [1, 2, 5, 4])];
  const { lse } = everyOutput(attention, { q, k, v: k }, { scale: 0.3 }) as { lse: Tensor };
  const expected = q.matmul(k.transpose()).mul(0.3).exp().sum(-1).log();
  const comparison = compareArrays(await lse.data(), await expected.data(), { atol: 1e-12, rtol: 1e-12 });
  expect(comparison.pass, comparison.report()).toBe(true);
});
