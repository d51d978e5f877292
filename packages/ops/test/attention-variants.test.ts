import { everyOutput, Generator, grad, randomBits, reference, type Shape, setDefaultDevice, sizeOf, Tensor, tensor } from "@x/tensor";
import { compareArrays, Stream } from "@x/testing";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { attention, blockMap, blocks, causal, dropout, type Pattern, softmax, window } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const draw = (name: string, shape: Shape, deviation = 1): Tensor =>
  tensor(
    new Stream(name).normal(sizeOf(shape)).map((x) => x * deviation),
    { shape, dtype: "f64" },
  );
const close = { atol: 1e-11, rtol: 1e-11 };
async function expectEqual(actual: Tensor, expected: Tensor | ArrayLike<number>): Promise<void> {
  const comparison = compareArrays(await actual.data(), Tensor.isTensor(expected) ? await expected.data() : expected, close);
  expect(comparison.pass, comparison.report()).toBe(true);
}

interface Variant {
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  /** How often the query at a position sees a key. */
  readonly times: (position: number, key: number) => number;
  readonly softcap?: number;
  readonly bias?: ArrayLike<number> | undefined;
  readonly dropout?: number;
}
const seed = [11, 22, 33, 44];

/** The definition, loop by loop, of batch 1 with a key head for each head, width 2. */
async function definition(
  { queries, keys, heads, times, softcap = 0, bias, dropout = 0 }: Variant,
  { q, k, v }: Record<"q" | "k" | "v", Tensor>,
) {
  const [qs, ks, vs] = [await q.data(), await k.data(), await v.data()];
  const entries = (bias?.length ?? 0) / heads;
  const out: number[] = [];
  for (let h = 0; h < heads; h++)
    for (let i = 0; i < queries; i++) {
      const position = i + keys - queries;
      const row = Array.from({ length: keys }, (_, j) => {
        const raw =
          0.8 * (qs[(h * queries + i) * 2]! * ks[(h * keys + j) * 2]! + qs[(h * queries + i) * 2 + 1]! * ks[(h * keys + j) * 2 + 1]!);
        const capped = softcap ? softcap * Math.tanh(raw / softcap) : raw;
        const entry = Math.min(Math.max(j - position + (entries - 1) / 2, 0), entries - 1);
        return times(position, j) * Math.exp(capped + (bias ? bias[h * entries + entry]! : 0));
      });
      const total = row.reduce((a, b) => a + b, 0);
      const kept = row.map((e, j) => {
        const uniform = (randomBits(seed, 5, (h * queries + i) * keys + j) >>> 8) * 2 ** -24;
        return total === 0 || uniform < Math.fround(dropout) ? 0 : e / total / (1 - dropout);
      });
      for (let d = 0; d < 2; d++) out.push(kept.reduce((sum, p, j) => sum + p * vs[(h * keys + j) * 2 + d]!, 0));
    }
  return out;
}

const made = ({ heads, queries, keys }: Variant) => ({
  q: draw("q", [1, heads, queries, 2]),
  k: draw("k", [1, heads, keys, 2]),
  v: draw("v", [1, heads, keys, 2]),
});

const variants = fc.record({
  heads: fc.integer({ min: 1, max: 2 }),
  queries: fc.integer({ min: 1, max: 9 }),
  keys: fc.integer({ min: 1, max: 9 }),
  table: fc.array(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 6 }), { minLength: 9, maxLength: 9 }),
  softcap: fc.constantFrom(0, 0.7, 3),
  reach: fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined }),
  dropout: fc.constantFrom(0, 0.3),
});

test("equals its definition for any pattern, repeats, bias, cap and draw", () =>
  fc.assert(
    fc.asyncProperty(variants, async ({ heads, queries, keys, table, softcap, reach, dropout }) => {
      const pattern = blocks(table, { size: 2 });
      const bias = reach === undefined ? undefined : draw("bias", [heads, 2 * reach + 1]);
      const variant = { heads, queries, keys, times: pattern.times, softcap, dropout, bias: await bias?.data() };
      const inputs = made(variant);
      const map = blockMap(pattern, { queries, keys });
      const key = tensor(Uint32Array.from(seed));
      const o = attention({ ...inputs, map, bias, key }, { scale: 0.8, softcap, dropout, ordinal: 5 });
      await expectEqual(o, await definition(variant, inputs));
    }),
    { numRuns: 60 },
  ));

test.each([
  ["causal", causal(), 5, 9],
  ["causal", causal(), 9, 5],
  ["causal", causal(), 70, 70],
] as const)("a %s map of %s queries over %s keys is causal attention, gradients too", async (_, pattern, queries, keys) => {
  const inputs = made({ heads: 2, queries, keys, times: () => 1 });
  const run = (given: object, causal: boolean) => () =>
    attention({ ...inputs, ...given }, { scale: 0.8, causal })
      .square()
      .sum();
  const mapped = grad(run({ map: blockMap(pattern, { queries, keys }) }, false), inputs);
  const plain = grad(run({}, true), inputs);
  for (const name of ["q", "k", "v"] as const) await expectEqual(mapped[name], plain[name]);
});

test("a map that shows everything changes nothing", async () => {
  const inputs = made({ heads: 2, queries: 5, keys: 66, times: () => 1 });
  const map = blockMap(window(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY), { queries: 5, keys: 66 });
  await expectEqual(attention({ ...inputs, map }, { scale: 0.5 }), attention(inputs, { scale: 0.5 }));
});

test("a key seen three times counts like three equal keys, gradients too", async () => {
  const inputs = made({ heads: 1, queries: 4, keys: 2, times: () => 1 });
  const map = blockMap(blocks(new Array(2).fill([0, 0, 0, 1]), { size: 1 }), { queries: 4, keys: 2 });
  const rows: Pattern = blocks(new Array(4).fill([0, 0, 0, 1]), { size: 1 });
  const tripled = (x: Tensor) => Tensor.concat([x.slice(2, 0, 1), x.slice(2, 0, 1), x], 2);
  const once = () => attention({ q: inputs.q.slice(2, 2, 4), k: tripled(inputs.k), v: tripled(inputs.v) }, { scale: 0.8 });
  const thrice = () => attention({ ...inputs, map }, { scale: 0.8 }).slice(2, 2, 4);
  expect(rows.times(0, 0)).toBe(3);
  await expectEqual(thrice(), once());
  const [a, b] = [grad(() => thrice().square().sum(), inputs), grad(() => once().square().sum(), inputs)];
  for (const name of ["q", "k", "v"] as const) await expectEqual(a[name], b[name]);
});

test("a map of other lengths gives NaN, not numbers that look right", async () => {
  const o = attention(
    { ...made({ heads: 1, queries: 3, keys: 4, times: () => 1 }), map: blockMap(causal(), { queries: 3, keys: 5 }) },
    { scale: 1 },
  );
  expect((await o.data()).every(Number.isNaN)).toBe(true);
});

describe("dropout on the weights", () => {
  const inputs = () => made({ heads: 2, queries: 6, keys: 6, times: () => 1 });
  const composed = (generator: Generator, p: number) => {
    const { q, k, v } = inputs();
    return dropout(softmax({ x: q.matmul(k.transpose()).mul(0.8) }), p, { generator }).matmul(v);
  };

  test("is the same draw as dropout of the softmax", async () => {
    const generator = new Generator({ seed: 3 });
    const o = attention({ ...inputs(), key: generator.key }, { scale: 0.8, dropout: 0.4, ordinal: generator.nextOrdinal() });
    const again = new Generator({ seed: 3 });
    await expectEqual(o, composed(again, 0.4));
  });

  test("averages over draws to no dropout", async () => {
    const generator = new Generator({ seed: 9 });
    const { q, k, v } = inputs();
    const many = 2000;
    const [wide, deep, high] = [q, k, v].map((x) => x.expand([many, ...x.shape.slice(1)])) as [Tensor, Tensor, Tensor];
    const o = attention({ q: wide, k: deep, v: high, key: generator.key }, { scale: 0.8, dropout: 0.3, ordinal: 0 }).mean(0);
    const plain = attention({ q, k, v }, { scale: 0.8 }).squeeze(0);
    const comparison = compareArrays(await o.data(), await plain.data(), { atol: 0.06, rtol: 0 });
    expect(comparison.pass, comparison.report()).toBe(true);
  });

  test("of everything is zero, and so are its gradients", async () => {
    const given = inputs();
    const key = tensor(Uint32Array.from(seed));
    const gradients = grad(() => attention({ ...given, key }, { scale: 1, dropout: 1 }).sum(), given);
    for (const gradient of Object.values(gradients)) expect((await gradient.data()).every((x) => x === 0)).toBe(true);
  });

  test("is not part of the normaliser", async () => {
    const key = tensor(Uint32Array.from(seed));
    const read = (attrs: object) => everyOutput(attention, { ...inputs(), key }, { scale: 1, ...attrs }).lse as Tensor;
    await expectEqual(read({ dropout: 0.5 }), read({}));
  });
});
