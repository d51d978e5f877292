import { reference, setDefaultDevice, type Tensor } from "@x/tensor";
import { gradcheck } from "@x/testing";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { BigBirdMaps } from "../src/big-bird-maps.ts";
import { addRows, fixedTokens, maskedTokens, takeRows } from "../src/global-tokens.ts";
import { LongformerMaps } from "../src/longformer-maps.ts";
import { behindSlots, neighbourBlocks, slidingWindow, withGlobalKeys } from "../src/patterns.ts";
import { mask } from "./dense.ts";

const device = reference();
beforeAll(() => setDefaultDevice(device));

const bigBird = { seed: 0, numHeads: 12, numRandomBlocks: 3, blockSize: 64, maxLength: 4096, lengthList: "hf" } as const;

describe("maps are made once, and grow with the length alone", () => {
  test("of Longformer", () => {
    const maps = new LongformerMaps(
      [1, 2].map((dilation) => slidingWindow(256, { dilation })),
      false,
    );
    const makers: readonly ((length: number) => Tensor)[] = [
      (length) => maps.windows(length, [], device),
      (length) => maps.windows(length, [0, 9], device),
      (length) => maps.behind(64, length, device),
    ];
    for (const make of makers) {
      expect(make(4096)).toBe(make(4096));
      expect(make(16_384).size).toBeLessThanOrEqual(6 * make(4096).size);
    }
    expect(maps.positions([0, 9], device)).toBe(maps.positions([0, 9], device));
  });

  test("of BigBird", () => {
    const maps = new BigBirdMaps(bigBird);
    for (const random of ["zeros", "seeded"] as const) {
      const make = (length: number) => maps.withGlobalBlocks(length, random, device);
      expect(make(2048)).toBe(make(2048));
      expect(make(8192).size).toBeLessThanOrEqual(6 * make(2048).size);
    }
  });
});

const tokens = [0, 13, 64, 65];
const patterns = {
  "a window": slidingWindow(9),
  "a dilated causal window": slidingWindow(5, { dilation: 3, causal: true }),
  "neighbouring blocks": neighbourBlocks(7),
  "neighbouring blocks, causal": neighbourBlocks(7, { causal: true }),
  "a window and global keys": withGlobalKeys(slidingWindow(9), tokens),
  "blocks behind slots": behindSlots(neighbourBlocks(7), 64),
};
test.each(Object.entries(patterns))("%s: a block is what its pairs are, and equal names are equal blocks", (_, pattern) => {
  const bits = (q0: number, k0: number, height: number, width: number) => {
    const all: number[] = [];
    for (let i = q0; i < q0 + height; i++) for (let j = k0; j < k0 + width; j++) all.push(pattern.times(i, j));
    return all;
  };
  const range = fc.integer({ min: 0, max: 150 });
  const extent = fc.integer({ min: 1, max: 20 });
  fc.assert(
    fc.property(range, range, range, range, extent, extent, (q0, k0, q1, k1, height, width) => {
      const counts = bits(q0, k0, height, width);
      const known = pattern.block(q0, q0 + height, k0, k0 + width);
      if (known !== undefined) expect([...new Set(counts)]).toEqual([known]);
      if (pattern.nameOf(q0, q0 + height, k0, k0 + width) === pattern.nameOf(q1, q1 + height, k1, k1 + width))
        expect(counts).toEqual(bits(q1, k1, height, width));
    }),
    { numRuns: 400 },
  );
});

describe("slots of global tokens", () => {
  const at = () => mask(2, 5, (entry, i) => (entry === 0 ? i === 3 : i !== 2));

  test("hold them in order, and say which are used and whether all found one", async () => {
    const found = maskedTokens(at(), 4);
    expect(await found.rows.array()).toEqual([
      [3, 0, 0, 0],
      [5, 6, 8, 9],
    ]);
    expect(await found.used.cast("i32").array()).toEqual([
      [1, 0, 0, 0],
      [1, 1, 1, 1],
    ]);
    expect(await maskedTokens(at(), 3).complete!.cast("i32").array()).toEqual([1, 0]);
  });

  test("rows that are taken out and put back have the gradients of differences", async () => {
    const take = (x: Tensor, y: Tensor) => {
      const found = maskedTokens(
        mask(2, 5, (entry, i) => (entry === 0 ? i === 3 : i !== 2)),
        4,
      );
      return addRows(x, takeRows(x, found).mul(y), found);
    };
    await gradcheck(({ x, y }) => take(x!, y!), { x: { shape: [2, 5, 3] }, y: { shape: [2, 4, 3] } } as never);
  });

  test("at fixed places are left empty by padding", async () => {
    const present = mask(2, 5, (entry, i) => entry === 0 || i < 3);
    const found = fixedTokens(
      maskedTokens(
        mask(1, 5, (_, i) => i === 1 || i === 4),
        2,
      ).rows.reshape([2]),
      [2, 5],
      present,
    );
    expect(await found.used.cast("i32").array()).toEqual([
      [1, 1],
      [1, 0],
    ]);
    expect(await found.at.cast("i32").array()).toEqual([
      [0, 1, 0, 0, 1],
      [0, 1, 0, 0, 0],
    ]);
  });
});
