import { SelfAttention } from "@x/attention";
import { withTraining } from "@x/nn";
import { Generator, grad, randn, reference, setDefaultDevice, type Tensor, tensor, withGenerator, withPrecision } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { copyAsLongformer, LongformerAttention, type LongformerOptions, longformerNames } from "../src/index.ts";
import { expectSame, mask } from "./dense.ts";
import { chunkedScores, chunkedSums, denseLongformer, dot } from "./longformer-oracle.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));

const drawn = <T>(make: () => T, seed = 4): T => withGenerator(new Generator({ seed, device }), make);
const make = (options: Partial<LongformerOptions> = {}) =>
  drawn(() => new LongformerAttention({ dim: 8, numHeads: 2, ...(options.reach === undefined && { attentionWindow: 4 }), ...options }));
const input = (batch: number, length: number, seed = 7) => randn([batch, length, 8], { generator: new Generator({ seed, device }) });
const close = { atol: 3e-6, rtol: 1e-5 };

describe("windows", () => {
  test.each([4, 8, 16, 13, 3, 1, 70])("length %i: every length, a multiple of the window or not, is the dense matrix", async (length) => {
    const layer = make();
    await expectSame(
      (x) => layer.forward(x),
      (x) => denseLongformer(layer, x),
      input(2, length),
      layer.parameters().filter((cell) => cell !== layer.queryGlobal!.weight),
    );
  });

  test.each([
    [16, 2],
    [8, 2],
    [4, 2],
    [12, 3],
  ])(
    "length %i, one side %i: overlapping chunks compute the same, corners too, with global keys in the same softmax",
    async (length, w) => {
      const layer = make({ reach: w, numHeads: 1, dim: 8, globalTokens: [0] });
      const x = input(1, length);
      const rows = async (t: Tensor) => (await t.array()) as number[][][];
      const [q, k, v] = [await rows(layer.query.forward(x)), await rows(layer.key.forward(x)), await rows(layer.value.forward(x))];
      const scaled = q[0]!.map((row) => row.map((n) => n / Math.sqrt(8)));
      const band = chunkedScores(scaled, k[0]!, w);
      const weights = band.map((row, i) => {
        // Token 0 stands in the first column, and is taken out of the band.
        const all = [dot(scaled[i]!, k[0]![0]!), ...row.map((score, c) => (i + c - w === 0 ? Number.NEGATIVE_INFINITY : score))];
        const e = all.map(Math.exp);
        const total = e.reduce((a, b) => a + b, 0);
        return e.map((n) => n / total);
      });
      const sums = chunkedSums(
        weights.map((row) => row.slice(1)),
        v[0]!,
        w,
      ).map((row, i) => row.map((n, at) => n + weights[i]![0]! * v[0]![0]![at]!));
      const expected = layer.output.forward(tensor([sums]));
      await expect(layer.forward(x).slice(1, 1, length)).toBeCloseToTensor(expected.slice(1, 1, length), close);
    },
  );

  test("attentionWindow counts both sides, reach counts one", async () => {
    const x = input(1, 16);
    await expect(make({ attentionWindow: 6 }).forward(x)).toBeCloseToTensor(make({ reach: 3 }).forward(x), { atol: 0, rtol: 0 });
  });

  test("heads have dilations of their own", async () => {
    const layer = make({ dilation: [1, 3], globalTokens: [4] });
    const globals = [[4], [4]];
    await expectSame(
      (x) => layer.forward(x),
      (x) => denseLongformer(layer, x, { globals }),
      input(2, 23),
      layer.parameters(),
    );
    await expect(make({ dilation: 3 }).forward(input(1, 9))).toBeCloseToTensor(make({ dilation: [3, 3] }).forward(input(1, 9)), close);
  });

  test("causal layers see what is past, global tokens included", async () => {
    const layer = make({ causal: true, dilation: [1, 2], globalTokens: [1, 9] });
    await expectSame(
      (x) => layer.forward(x),
      (x) => denseLongformer(layer, x, { globals: [[1, 9]] }),
      input(1, 17),
      layer.parameters(),
    );
    const x = input(1, 17);
    const shorter = layer.forward(x.slice(1, 0, 12));
    await expect(layer.forward(x).slice(1, 0, 12)).toBeCloseToTensor(shorter, close);
  });

  test("blocks that see their neighbours are a pattern of their own", async () => {
    const layer = make({ reach: 3, mode: "noOverlap", globalTokens: [7] });
    const block = (i: number) => Math.floor(i / 3);
    await expectSame(
      (x) => layer.forward(x),
      (x) => denseLongformer(layer, x, { globals: [[7]], local: (i, j) => Number(Math.abs(block(i) - block(j)) <= 1) }),
      input(1, 14),
      layer.parameters(),
    );
    const masked = make({ reach: 3, mode: "noOverlap" }).forward(input(1, 14), { globalMask: mask(1, 14, (_, i) => i === 7) });
    await expect(masked).toBeCloseToTensor(layer.forward(input(1, 14)), close);
  });
});

describe("global tokens", () => {
  const globals = [[3], [0, 5, 11]];
  const isGlobal = (entry: number, i: number) => globals[entry]!.includes(i);

  test("entries have different numbers of them, counted once where they stand in a window", async () => {
    const layer = make({ globalSlots: 5 });
    await expectSame(
      (x) => layer.forward(x, { globalMask: mask(2, 13, isGlobal) }),
      (x) => denseLongformer(layer, x, { globals }),
      input(2, 13),
      layer.parameters(),
    );
  });

  test("of a causal layer are seen by what comes after them, and see what came before, in each entry", async () => {
    for (const options of [{}, { scale: -0.4 }, { dilation: [2, 1], globalSlots: 3 }]) {
      const layer = make({ causal: true, ...options });
      await expectSame(
        (x) => layer.forward(x, { globalMask: mask(2, 13, isGlobal) }),
        (x) => denseLongformer(layer, x, { globals }),
        input(2, 13),
        layer.parameters(),
      );
    }
    const layer = make({ causal: true });
    const x = input(2, 13);
    const cut = layer.forward(x.slice(1, 0, 8), { globalMask: mask(2, 8, isGlobal) });
    await expect(layer.forward(x, { globalMask: mask(2, 13, isGlobal) }).slice(1, 0, 8)).toBeCloseToTensor(cut, close);
    const fixed = make({ causal: true, globalTokens: [3, 9] });
    const masked = layer.forward(x, { globalMask: mask(2, 13, (_, i) => i === 3 || i === 9) });
    await expect(masked).toBeCloseToTensor(fixed.forward(x), close);
  });

  test("none at all leave the windows", async () => {
    const x = input(2, 13);
    const none = make().forward(x, { globalMask: mask(2, 13, () => false) });
    await expect(none).toBeCloseToTensor(make().forward(x), close);
  });

  test("fixed positions are a mask that is the same for all", async () => {
    const x = input(2, 70);
    const [fixed, masked] = [make({ globalTokens: [65, 2, 2] }), make()];
    const globalMask = mask(2, 70, (_, i) => i === 2 || i === 65);
    await expectSame(
      (x) => fixed.forward(x),
      (x) =>
        denseLongformer(fixed, x, {
          globals: [
            [2, 65],
            [2, 65],
          ],
        }),
      x,
      fixed.parameters(),
    );
    await expect(masked.forward(x, { globalMask })).toBeCloseToTensor(fixed.forward(x), close);
  });

  test("fixed positions beyond the sequence are none of it", async () => {
    const x = input(1, 9);
    await expect(make({ globalTokens: [0, 30] }).forward(x)).toBeCloseToTensor(make({ globalTokens: [0] }).forward(x), close);
  });

  test("weights of a row that sees a global token twice, by window and by right, sum to one", async () => {
    // Values that are all one give one if the weights sum to one.
    const layer = make({ globalTokens: [2] });
    layer.value.weight.write(new Float32Array(64));
    layer.value.bias!.write(new Float32Array(8).fill(1));
    const expected = layer.output.forward(tensor(new Float32Array(8 * 6).fill(1), { shape: [1, 6, 8] }));
    const x = input(1, 6);
    const rows = [0, 1, 3, 4, 5];
    for (const row of rows) await expect(layer.forward(x).slice(1, row, row + 1)).toBeCloseToTensor(expected.slice(1, row, row + 1), close);
  });

  test("only rows of global tokens change with their projections", async () => {
    const x = input(2, 13);
    const globalMask = mask(2, 13, isGlobal);
    for (const part of ["queryGlobal", "keyGlobal", "valueGlobal"] as const) {
      const layer = make();
      const before = (await layer.forward(x, { globalMask }).array()) as number[][][];
      const { weight } = layer[part]!;
      weight.write(Float32Array.from(await weight.data(), (n) => 1.5 * n + 0.1));
      const after = (await layer.forward(x, { globalMask }).array()) as number[][][];
      for (const [b, rows] of before.entries())
        for (const [i, row] of rows.entries())
          if (isGlobal(b, i)) expect(after[b]![i], `${part}, row ${i}`).not.toEqual(row);
          else expect(after[b]![i], `${part}, row ${i}`).toEqual(row);
    }
  });

  test("the window's result of a global token gets no gradient, its key and value do", async () => {
    for (const options of [{ globalTokens: [3] }, {}]) {
      const layer = make(options);
      const x = input(1, 9);
      const call = "globalTokens" in options ? {} : { globalMask: mask(1, 9, (_, i) => i === 3) };
      const row = () => layer.forward(x, call).slice(1, 3, 4).square().sum();
      const others = () => layer.forward(x, call).slice(1, 4, 5).square().sum();
      const zero = [layer.query.weight, layer.key.weight, layer.value.weight];
      for (const gradient of grad(row, zero)) await expect(gradient).toBeCloseToTensor(gradient.zerosLike(), { atol: 0, rtol: 0 });
      for (const gradient of grad(others, zero)) expect(await gradient.abs().sum().item()).toBeGreaterThan(1e-3);
    }
  });

  test("without projections of their own they use those of all", async () => {
    const layer = make({ globalProjections: false, globalTokens: [0] });
    expect([...layer.namedParameters().keys()].filter((name) => name.includes("Global"))).toEqual([]);
    await expectSame(
      (x) => layer.forward(x),
      (x) => denseLongformer(layer, x, { globals: [[0]] }),
      input(1, 9),
      layer.parameters(),
    );
  });

  test("more of them than slots give NaN in that entry, and nowhere else", async () => {
    const layer = make({ globalSlots: 2 });
    const y = layer.forward(input(2, 13), { globalMask: mask(2, 13, isGlobal) });
    await expect(y.slice(0, 0, 1)).toBeCloseToTensor(denseLongformer(layer, input(2, 13), { globals }).slice(0, 0, 1), close);
    expect([...(await y.slice(0, 1, 2).data())].every(Number.isNaN)).toBe(true);
  });
});

describe("padding", () => {
  const present = (entry: number, i: number) => i < [13, 6][entry]!;
  const keyMask = () => mask(2, 13, present);

  test("is not seen, gives zeros before the last projection, and holds no global tokens", async () => {
    const globals = [[3], [0, 5, 11]];
    const layer = make();
    await expectSame(
      (x) => layer.forward(x, { keyMask: keyMask(), globalMask: mask(2, 13, (entry, i) => globals[entry]!.includes(i)) }),
      (x) => denseLongformer(layer, x, { globals, present }),
      input(2, 13),
      layer.parameters(),
    );
    const y = layer.forward(input(2, 13), { keyMask: keyMask() });
    await expect(y.slice(0, 1, 2).slice(1, 6, 13)).toBeCloseToTensor(layer.output.bias!.value.expand([1, 7, 8]), { atol: 0, rtol: 0 });
  });

  test("hides fixed global tokens as well", async () => {
    const layer = make({ globalTokens: [2, 11] });
    await expectSame(
      (x) => layer.forward(x, { keyMask: keyMask() }),
      (x) =>
        denseLongformer(layer, x, {
          globals: [
            [2, 11],
            [2, 11],
          ],
          present,
        }),
      input(2, 13),
      layer.parameters(),
    );
  });

  test("a padded sequence is what it is alone", async () => {
    const layer = make({ globalTokens: [1] });
    const x = input(2, 13);
    const y = layer.forward(x, { keyMask: keyMask() }).slice(0, 1, 2).slice(1, 0, 6);
    await expect(y).toBeCloseToTensor(layer.forward(x.slice(0, 1, 2).slice(1, 0, 6)), close);
  });
});

test("weights are dropped while training alone", async () => {
  const layer = make({ dropout: 1, globalTokens: [0] });
  const x = input(1, 9);
  const training = drawn(() => withTraining(true, () => layer.forward(x)));
  await expect(training).toBeCloseToTensor(layer.output.bias!.value.expand([1, 9, 8]), close);
  await expect(layer.forward(x)).toBeCloseToTensor(make({ globalTokens: [0] }).forward(x), close);
});

test.each(["f16", "bf16"] as const)("in %s it is close to what it is in f32, hidden tokens included", async (dtype) => {
  const x = input(2, 13);
  const globalMask = mask(2, 13, (entry, i) => i === 3 + entry);
  for (const [options, call] of [
    [{ causal: true }, { globalMask }],
    [{}, { globalMask, keyMask: mask(2, 13, (_, i) => i < 11) }],
    [{ causal: true, globalTokens: [2] }, {}],
  ] as const) {
    const layer = make(options);
    const narrow = withPrecision(dtype, layer.parameters(), () => layer.forward(x.cast(dtype), call));
    expect(narrow.dtype).toBe(dtype);
    await expect(narrow.cast("f32")).toBeCloseToTensor(layer.forward(x, call), { atol: dtype === "f16" ? 4e-3 : 3e-2, rtol: 0 });
  }
});

test("begins as the dense attention it is copied from, where its window holds everything", async () => {
  const from = drawn(() => new SelfAttention({ dim: 8, numHeads: 2 }), 1);
  const to = make({ reach: 20, globalTokens: [0, 5] });
  copyAsLongformer(from, to);
  const x = input(2, 13);
  await expect(to.forward(x)).toBeCloseToTensor(from.forward(x), close);
  copyAsLongformer(to, to);
  await expect(to.forward(x)).toBeCloseToTensor(from.forward(x), close);
  expect(() =>
    copyAsLongformer(
      drawn(() => new SelfAttention({ dim: 8, numHeads: 2, bias: false })),
      to,
    ),
  ).toThrow(/copyAsLongformer: query.bias is none, and query.bias of the Longformer layer is \[8\]/);
});

test("published names are those of its parameters", () => {
  const ours = longformerNames.flatMap(([, name]) => ["weight", "bias"].map((part) => name.replace("{p}", part)));
  expect([...make().namedParameters().keys()].sort()).toEqual(ours.sort());
});

test("a batch of nothing is nothing", () => {
  expect(make().forward(input(0, 5)).shape).toEqual([0, 5, 8]);
});

test("refuses what does not fit, by name", () => {
  expect(() => make({ numHeads: 3 })).toThrow("LongformerAttention: dim 8 must be a multiple of numHeads 3");
  expect(() => make({ attentionWindow: 5 })).toThrow(/attentionWindow must be an even number .* got 5/);
  expect(() => make({ reach: 2, attentionWindow: 4 })).toThrow(/give attentionWindow .* or reach .* got both/);
  expect(() => new LongformerAttention({ dim: 8, numHeads: 2 })).toThrow(/got neither/);
  expect(() => make({ reach: 0 })).toThrow(/reach .* got 0/);
  expect(() => make({ dilation: [1, 2, 3] })).toThrow(/dilation must be one number, or one for each of the 2 heads, got 3/);
  expect(() => make({ dilation: 0 })).toThrow(/dilation .* got 0/);
  expect(() => make({ dilation: 2, mode: "noOverlap" })).toThrow(/mode "noOverlap" has no dilation, got 2/);
  expect(() => make({ mode: "chunks" as never })).toThrow(/mode must be one of sliding, noOverlap, got "chunks"/);
  expect(() => make({ globalTokens: [-1] })).toThrow(/globalTokens must be positions from 0 on, got -1/);
  expect(() => make({ globalSlots: 0 })).toThrow(/globalSlots .* got 0/);
  expect(() => make({ dropout: 2 })).toThrow(/dropout .* got 2/);
  expect(() => make().forward(randn([2, 3, 5]))).toThrow("LongformerAttention: x must be [batch, length, 8], got [2, 3, 5].");
  const x = input(2, 3);
  expect(() => make().forward(x, { keyMask: mask(2, 4, () => true) })).toThrow(/keyMask must be bool \[2, 3\], got bool \[2, 4\]/);
  expect(() =>
    make().forward(x, {
      globalMask: tensor([
        [1, 0, 0],
        [1, 0, 0],
      ]),
    }),
  ).toThrow(/globalMask must be bool \[2, 3\], got f32/);
  const globalMask = mask(2, 3, () => true);
  expect(() => make({ globalTokens: [0] }).forward(x, { globalMask })).toThrow(/globalMask came, and the layer has globalTokens 0/);
});
