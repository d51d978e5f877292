import { wasm } from "@x/kernels-wasm";
import { isTraining, withTraining } from "@x/nn";
import { Generator, randn, reference, setDefaultDevice, type Tensor, withGenerator, withPrecision } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { BigBirdAttention, type BigBirdOptions, type BlockTable, bigBirdBlocks, bigBirdNames } from "../src/index.ts";
import { etcBlocks } from "../src/random-blocks.ts";
import { dense, expectSame, mask, projected, type Sight } from "./dense.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));

const drawn = <T>(make: () => T, seed = 4): T => withGenerator(new Generator({ seed, device }), make);
// Blocks of 4 tokens: up to 44 are dense.
const make = (options: Partial<BigBirdOptions> = {}) =>
  drawn(() => new BigBirdAttention({ dim: 12, numHeads: 3, layer: 0, blockSize: 4, ...options }));
const input = (batch: number, length: number, seed = 7) => randn([batch, length, 12], { generator: new Generator({ seed, device }) });
const close = { atol: 3e-6, rtol: 1e-5 };
const training = <T>(run: () => T): T => withTraining(true, run);
const always = () => true;

/** How often a query sees a key: the blocks of the paper once each, and random ones as often as they are named. */
function sight(blocks: number, size: number, table: BlockTable, present: (entry: number, i: number) => boolean = always): Sight {
  return (i, j, entry, head) => {
    if (!present(entry, i) || !present(entry, j)) return 0;
    const [row, block] = [Math.floor(i / size), Math.floor(j / size)];
    const edge = (n: number) => n === 0 || n === blocks - 1;
    if (edge(row)) return 1;
    const named = (table[head] ?? table[0]!)[row - 1]!.filter((other) => other === block).length;
    return Number(edge(block) || Math.abs(row - block) <= 1) + named;
  };
}
const expected = (layer: BigBirdAttention, x: Tensor, sees: Sight): Tensor =>
  layer.output.forward(dense(projected(x, { q: layer.query, k: layer.key, v: layer.value }), layer.numHeads, sees));
const zerosOf = (blocks: number, count = 3): BlockTable => [Array.from({ length: blocks - 2 }, () => new Array<number>(count).fill(0))];
const seededOf = (layer: number, length: number, size = 4, numHeads = 3): BlockTable =>
  bigBirdBlocks({ seed: layer, numHeads, numRandomBlocks: 3, blockSize: size, length, maxLength: 4096, lengthList: "hf" });

describe("random blocks", () => {
  test("outside of training are block 0, which so counts four times in the sum", async () => {
    const layer = make();
    expect(isTraining()).toBe(false);
    await expectSame(
      (x) => layer.forward(x),
      (x) => expected(layer, x, sight(12, 4, zerosOf(12))),
      input(2, 48),
      layer.parameters(),
    );
    const one = sight(12, 4, zerosOf(12));
    expect([one(20, 1, 0, 0), one(20, 19, 0, 0), one(20, 30, 0, 0), one(4, 2, 0, 0), one(2, 30, 0, 0)]).toEqual([4, 1, 0, 4, 1]);
  });

  test("while training are the layer's table, of each head its own", async () => {
    for (const layer of [0, 3]) {
      const made = make({ layer });
      await expectSame(
        (x) => training(() => made.forward(x)),
        (x) => expected(made, x, sight(13, 4, seededOf(layer, 52))),
        input(1, 52),
        made.parameters(),
      );
    }
    const [first, other] = [make({ layer: 0 }), make({ layer: 3 })];
    const x = input(1, 52);
    const different = training(() => first.forward(x).sub(other.forward(x)).abs().max());
    expect(await different.item()).toBeGreaterThan(1e-3);
  });

  test("may be seeded always, or none", async () => {
    const x = input(1, 48);
    const seeded = make({ randomBlocks: "seeded" });
    await expect(seeded.forward(x)).toBeCloseToTensor(
      training(() => make().forward(x)),
      close,
    );
    const none = make({ randomBlocks: "none" });
    await expect(none.forward(x)).toBeCloseToTensor(expected(none, x, sight(12, 4, zerosOf(12, 0))), close);
    const zeros = make({ randomBlocks: "zeros" });
    await expect(training(() => zeros.forward(x))).toBeCloseToTensor(make().forward(x), close);
  });

  test("may be a table, for each head or for all, that names a block twice or one that is seen anyway", async () => {
    const one = Array.from({ length: 10 }, (_, i) => [i % 12, i % 12, 11, i + 1]);
    const other = Array.from({ length: 10 }, (_, i) => (i === 4 ? [] : [11 - i]));
    for (const randomBlocks of [[one], [one, other, one]]) {
      const layer = make({ randomBlocks });
      await expectSame(
        (x) => layer.forward(x),
        (x) => expected(layer, x, sight(12, 4, randomBlocks)),
        input(1, 48),
        layer.parameters(),
      );
    }
  });
});

describe("lengths", () => {
  test("up to 44 are dense, from 45 on padded to whole blocks and sparse", async () => {
    const layer = make();
    const all = (length: number) => expected(layer, input(1, length), () => 1);
    await expect(layer.forward(input(1, 44))).toBeCloseToTensor(all(44), close);
    await expect(layer.forward(input(1, 5))).toBeCloseToTensor(all(5), close);
    const x = input(1, 45);
    await expect(layer.forward(x)).toBeCloseToTensor(expected(layer, x, sight(12, 4, zerosOf(12))), close);
    // As Hugging Face does it: three tokens of padding behind it, hidden.
    const padded = layer.forward(
      x.pad([
        [0, 0],
        [0, 3],
        [0, 0],
      ]),
      { keyMask: mask(1, 48, (_, i) => i < 45) },
    );
    await expect(padded.slice(1, 0, 45)).toBeCloseToTensor(layer.forward(x), close);
  });

  test("where sparse begins may be set", async () => {
    const layer = make({ denseUpTo: 0, randomBlocks: "none" });
    for (const [length, blocks] of [
      [3, 1],
      [8, 2],
      [12, 3],
      [17, 5],
      [24, 6],
    ] as const)
      await expect(layer.forward(input(1, length))).toBeCloseToTensor(
        expected(layer, input(1, length), sight(blocks, 4, zerosOf(Math.max(2, blocks), 0))),
        close,
      );
  });

  test("768, 1024, 704 and 705 tokens in blocks of 64, as published", async () => {
    const fast = await wasm({ threads: 2, strict: true });
    const layer = withGenerator(new Generator({ seed: 1, device: fast }), () => new BigBirdAttention({ dim: 8, numHeads: 2, layer: 5 }));
    const x = (length: number) => randn([1, length, 8], { generator: new Generator({ seed: 2, device: fast }) });
    for (const length of [768, 1024])
      await expect(training(() => layer.forward(x(length)))).toBeCloseToTensor(
        expected(layer, x(length), sight(length / 64, 64, seededOf(5, length, 64, 2))),
        close,
      );
    await expect(layer.forward(x(704))).toBeCloseToTensor(
      expected(layer, x(704), () => 1),
      close,
    );
    await expect(layer.forward(x(705))).toBeCloseToTensor(expected(layer, x(705), sight(12, 64, zerosOf(12))), close);
    fast.close();
  });
});

describe("padding", () => {
  // Of the first entry it covers all of the last block, which is global, of the second one more and a part.
  const present = (entry: number, i: number) => i < [44, 38][entry]!;

  test("is not seen, not even as the last block, and gives zeros before the last projection", async () => {
    const layer = make();
    await expectSame(
      (x) => training(() => layer.forward(x, { keyMask: mask(2, 48, present) })),
      (x) => expected(layer, x, sight(12, 4, seededOf(0, 48), present)),
      input(2, 48),
      layer.parameters(),
    );
    for (const length of [48, 40]) {
      const y = layer.forward(input(2, length), { keyMask: mask(2, length, present) });
      await expect(y.slice(0, 1, 2).slice(1, 38, length)).toBeCloseToTensor(layer.output.bias!.value.expand([1, length - 38, 12]), {
        atol: 0,
        rtol: 0,
      });
    }
  });
});

describe("extra global tokens", () => {
  /** They see and are seen; the rest sees its window and its random blocks, none of which is global. */
  const beside = (count: number, size: number, table: BlockTable, present: (entry: number, i: number) => boolean = always): Sight => {
    return (i, j, entry, head) => {
      if (!present(entry, i) || !present(entry, j)) return 0;
      if (i < count || j < count) return 1;
      const [row, block] = [Math.floor((i - count) / size), Math.floor((j - count) / size)];
      return Number(Math.abs(row - block) <= 1) + (table[head] ?? table[0]!)[row]!.filter((other) => other === block).length;
    };
  };
  const seeded = (layer: number, blocks: number) => etcBlocks({ seed: layer, numHeads: 3, numRandomBlocks: 3, blocks });

  test("are the dense matrix, in training and out of it, with padding", async () => {
    const layer = make({ numGlobalTokens: 3, layer: 2 });
    const present = (entry: number, i: number) => i < 50 - 9 * entry && i !== 1;
    await expectSame(
      (x) => layer.forward(x, { keyMask: mask(2, 50, present) }),
      (x) => expected(layer, x, beside(3, 4, seeded(2, 12), present)),
      input(2, 50),
      layer.parameters(),
    );
    const x = input(1, 50);
    await expect(training(() => layer.forward(x))).toBeCloseToTensor(expected(layer, x, beside(3, 4, seeded(2, 12))), close);
  });

  test("with zeros, a table or nothing for random blocks", async () => {
    const table = [Array.from({ length: 12 }, (_, i) => [i, 0, 0])];
    const zeros = [Array.from({ length: 12 }, () => [0, 0, 0])];
    const nothing = [Array.from({ length: 12 }, () => [])];
    const x = input(1, 52);
    for (const [randomBlocks, means] of [[table, table] as const, ["zeros", zeros] as const, ["none", nothing] as const]) {
      const layer = make({ numGlobalTokens: 4, randomBlocks });
      await expect(layer.forward(x)).toBeCloseToTensor(expected(layer, x, beside(4, 4, means)), close);
    }
  });

  test("short sequences behind them are dense", async () => {
    const layer = make({ numGlobalTokens: 3 });
    await expect(layer.forward(input(1, 47))).toBeCloseToTensor(
      expected(layer, input(1, 47), () => 1),
      close,
    );
    expect(() => layer.forward(input(1, 2))).toThrow(/x must hold the 3 global tokens before its sequence, got \[1, 2, 12\]/);
  });
});

test("weights are dropped while training alone", async () => {
  const layer = make({ dropout: 1, randomBlocks: "zeros" });
  const x = input(1, 48);
  const trained = drawn(() => training(() => layer.forward(x)));
  await expect(trained).toBeCloseToTensor(layer.output.bias!.value.expand([1, 48, 12]), close);
  await expect(layer.forward(x)).toBeCloseToTensor(make().forward(x), close);
});

test.each(["f16", "bf16"] as const)("in %s it is close to what it is in f32", async (dtype) => {
  for (const numGlobalTokens of [0, 3]) {
    const layer = make({ numGlobalTokens });
    const x = input(1, 48 + numGlobalTokens);
    const keyMask = mask(1, 48 + numGlobalTokens, (_, i) => i < 45);
    const narrow = withPrecision(dtype, layer.parameters(), () => layer.forward(x.cast(dtype), { keyMask }));
    expect(narrow.dtype).toBe(dtype);
    await expect(narrow.cast("f32")).toBeCloseToTensor(layer.forward(x, { keyMask }), { atol: dtype === "f16" ? 4e-3 : 3e-2, rtol: 0 });
  }
});

test("published names are those of its parameters", () => {
  const ours = bigBirdNames.flatMap(([, name]) => ["weight", "bias"].map((part) => name.replace("{p}", part)));
  expect([...make().namedParameters().keys()].sort()).toEqual(ours.sort());
});

test("refuses what does not fit, by name", () => {
  expect(() => make({ numHeads: 5 })).toThrow("BigBirdAttention: dim 12 must be a multiple of numHeads 5");
  expect(() => make({ layer: undefined as never })).toThrow(/layer must be a whole number from 0 on, got undefined/);
  expect(() => make({ layer: -1 })).toThrow(/layer must be a whole number from 0 on, got -1/);
  expect(() => make({ numRandomBlocks: 1.5 })).toThrow(/numRandomBlocks .* got 1.5/);
  expect(() => make({ blockSize: 0 })).toThrow(/blockSize .* got 0/);
  expect(() => make({ randomBlocks: "random" as never })).toThrow(
    /randomBlocks must be one of auto, seeded, zeros, none, or a table of blocks, got "random"/,
  );
  expect(() => make({ randomBlocks: [[], []] })).toThrow(/randomBlocks must be \[3, or 1 for all heads\]\[rows\]\[blocks\], got 2 heads/);
  expect(() => make({ dropout: -1 })).toThrow(/dropout .* got -1/);
  expect(() => make({ scale: Number.NaN })).toThrow(/scale .* got NaN/);
  expect(() => make().forward(randn([2, 3, 5]))).toThrow("BigBirdAttention: x must be [batch, length, 12], got [2, 3, 5].");
  expect(() => make().forward(input(2, 3), { keyMask: mask(2, 4, always) })).toThrow(/keyMask must be bool \[2, 3\], got bool \[2, 4\]/);
  const rows = Array.from({ length: 10 }, () => [0]);
  expect(() => make({ randomBlocks: [rows] }).forward(input(1, 52))).toThrow(/has 10 rows for head 0; a sequence of 13 blocks has 11/);
  const far = [...rows.slice(1), [12]];
  expect(() => make({ randomBlocks: [far] }).forward(input(1, 48))).toThrow(/names block 12 for head 0; the sequence has blocks 0 to 11/);
});
