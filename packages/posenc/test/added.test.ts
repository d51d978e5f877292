import { arange, grad, reference, setDefaultDevice, tensor } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { LearnedPositions, SinusoidalPositions } from "../src/index.ts";

expect.extend(tensorMatchers);
beforeAll(() => setDefaultDevice(reference()));

const ids = (...positions: number[]) => tensor(Int32Array.from(positions), { shape: [positions.length] });

describe("LearnedPositions", () => {
  const rows = (count: number) => () => Float64Array.from({ length: 2 * count }, (_, i) => i);

  test("gives the row of each position, in rows of a batch too", async () => {
    const table = new LearnedPositions({ maxLength: 4, dim: 2, init: rows(4) });
    expect(await table.forward(arange(3)).array()).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
    ]);
    expect(table.forward(tensor(Int32Array.of(0, 0, 1, 2, 3, 3), { shape: [2, 3] })).shape).toEqual([2, 3, 2]);
  });

  test("skips the rows that a checkpoint keeps before position 0", async () => {
    const table = new LearnedPositions({ maxLength: 4, dim: 2, offset: 2, init: rows(6) });
    expect(table.weight.shape).toEqual([6, 2]);
    expect(await table.forward(ids(0, 3)).array()).toEqual([
      [4, 5],
      [10, 11],
    ]);
  });

  test("is trained: a position that comes twice gets both gradients", async () => {
    const table = new LearnedPositions({ maxLength: 3, dim: 2 });
    expect(await grad(() => table.forward(ids(0, 2, 2)).sum(), table.weight).array()).toEqual([
      [1, 1],
      [0, 0],
      [2, 2],
    ]);
    expect([...table.namedParameters().keys()]).toEqual(["weight"]);
  });

  test("refuses more positions than it has, and takes as many", () => {
    const table = new LearnedPositions({ maxLength: 4, dim: 2, offset: 2 });
    table.forward(arange(4));
    expect(() => table.forward(arange(5))).toThrow(
      "LearnedPositions: 5 positions, but the table has 4. Shorten the input, or make the layer",
    );
  });

  test("checks its options", () => {
    expect(() => new LearnedPositions({ maxLength: 0, dim: 2 })).toThrow("LearnedPositions: maxLength must be a positive integer, got 0.");
    expect(() => new LearnedPositions({ maxLength: 2, dim: 0 })).toThrow("LearnedPositions: dim must be a positive integer, got 0.");
    for (const offset of [-1, 0.5, Number.NaN])
      expect(() => new LearnedPositions({ maxLength: 2, dim: 2, offset })).toThrow(
        `LearnedPositions: offset must be 0 or a positive integer, got ${offset}.`,
      );
  });
});

describe("SinusoidalPositions", () => {
  const angles = [7, 7 / 10, 7 / 100, 7 / 1000];
  const sines = angles.map(Math.sin);
  const cosines = angles.map(Math.cos);

  test("takes sines and cosines by turns, as the paper has them", async () => {
    const table = new SinusoidalPositions({ maxLength: 8, dim: 8 });
    await expect(table.forward(ids(7))).toBeCloseToTensor([sines.flatMap((s, i) => [s, cosines[i]!])]);
  });

  test("in halves has all sines first", async () => {
    const table = new SinusoidalPositions({ maxLength: 8, dim: 8, layout: "halves" });
    await expect(table.forward(ids(7))).toBeCloseToTensor([[...sines, ...cosines]]);
  });

  test("with fairseq's spacing reaches 1 / base at the last frequency", async () => {
    const table = new SinusoidalPositions({ maxLength: 8, dim: 8, layout: "halves", spacing: "fairseq" });
    const spaced = [0, 1, 2, 3].map((i) => 7 * 10_000 ** (-i / 3));
    expect(spaced[3]).toBeCloseTo(7e-4, 12);
    await expect(table.forward(ids(7))).toBeCloseToTensor([[...spaced.map(Math.sin), ...spaced.map(Math.cos)]]);
  });

  test("takes another base, and any shape of positions", async () => {
    const table = new SinusoidalPositions({ maxLength: 3, dim: 4, base: 100 });
    const row = (p: number) => [Math.sin(p), Math.cos(p), Math.sin(p / 10), Math.cos(p / 10)];
    await expect(table.forward(tensor(Int32Array.of(0, 2, 1, 1), { shape: [2, 2] }))).toBeCloseToTensor([
      [row(0), row(2)],
      [row(1), row(1)],
    ]);
  });

  test("has nothing to train, and its table is no state", () => {
    const table = new SinusoidalPositions({ maxLength: 3, dim: 4 });
    expect(table.parameters()).toEqual([]);
    expect(`${table}`).toBe("SinusoidalPositions");
  });

  test("inner products of its rows depend on the distance alone", async () => {
    const table = new SinusoidalPositions({ maxLength: 50, dim: 16 }).forward(arange(50));
    const products = (await table.matmul(table.transpose()).array()) as number[][];
    for (const [m, n] of [
      [3, 9],
      [20, 11],
      [30, 31],
    ] as const)
      expect(products[m]![n]).toBeCloseTo(products[m + 17]![n + 17]!, 5);
  });

  test("refuses more positions than it has, odd widths and what it does not know", () => {
    const make = (options: object) => () => new SinusoidalPositions({ maxLength: 4, dim: 4, ...options });
    expect(() => make({})().forward(arange(5))).toThrow("SinusoidalPositions: 5 positions, but the table has 4.");
    expect(make({ dim: 5 })).toThrow("SinusoidalPositions: dim must be even, got 5.");
    expect(make({ dim: 2, spacing: "fairseq" })).toThrow("dim must be at least 4 for fairseq's spacing, got 2.");
    expect(make({ base: 0 })).toThrow("SinusoidalPositions: base must be a finite number above 0, got 0.");
    expect(make({ layout: "halfs" })).toThrow('layout must be one of interleaved, halves, got "halfs".');
    expect(make({ spacing: "wide" })).toThrow('spacing must be one of paper, fairseq, got "wide".');
  });
});
