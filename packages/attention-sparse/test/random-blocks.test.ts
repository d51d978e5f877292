import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { NumpyRandom } from "../src/numpy-random.ts";
import { type BlockTable, bigBirdBlocks, etcBlocks, type RandomBlocksOptions } from "../src/random-blocks.ts";

const iota = (length: number) => Array.from({ length }, (_, i) => i);
const table = (seed: number, length: number, numHeads: number, options: Partial<RandomBlocksOptions> = {}): BlockTable =>
  bigBirdBlocks({ seed, length, numHeads, numRandomBlocks: 3, blockSize: 64, maxLength: 4096, lengthList: "hf", ...options });
const digest = (blocks: BlockTable): string => createHash("sha256").update(blocks.flat(2).join(" ")).digest("hex").slice(0, 16);

test("permutations are numpy's", () => {
  expect(new NumpyRandom(0).permutation(iota(10))).toEqual([2, 8, 4, 9, 1, 6, 7, 3, 0, 5]);
  expect(new NumpyRandom(3).permutation(iota(10))).toEqual([5, 4, 1, 2, 9, 6, 7, 0, 3, 8]);
  expect(new NumpyRandom(5).permutation([7])).toEqual([7]);
});

// Digests of tables that google-research/bigbird at 5e7d375 and numpy 2.4.6 made.
describe("tables are the published ones, number for number", () => {
  test.each([
    [0, 4096, 2, "dd8d5793153b2ba0"],
    [0, 1024, 12, "9d72bd3d20e7f45e"],
    [5, 3072, 3, "b5355a1e53948e9f"],
    [0, 832, 12, "cdd081d47bf4b337"],
    [2, 768, 3, "630e0a91c6160dc2"],
    [1, 5120, 4, "76fd5324243ab7a2"],
    [0, 2048, 12, "9034a6d57c00e674"],
  ])("layer %i, %i tokens, %i heads", (seed, length, heads, expected) => {
    const made = table(seed, length, heads);
    expect([made.length, made[0]!.length, made[0]![0]!.length]).toEqual([heads, length / 64 - 2, 3]);
    expect(digest(made)).toBe(expected);
  });

  test.each([
    [160, "a7348b4348bd59c6"],
    [176, "15a4e72a3ede1af8"],
    [1024, "c7b7d5f97a7825d9"],
  ])("two blocks of 16 for %i tokens", (length, expected) =>
    expect(digest(table(3, length, 3, { numRandomBlocks: 2, blockSize: 16 }))).toBe(expected),
  );

  test("half near, half far, where there are too few blocks for all to be near", () => {
    const made = table(3, 25 * 16, 2, { numRandomBlocks: 10, blockSize: 16 });
    expect(made[0]![0]).toEqual([12, 4, 6, 11, 7, 22, 21, 17, 16, 18]);
    expect(digest(made)).toBe("f270457f784e6554");
  });

  test("Google's code has 2048 among the paper's lengths, Hugging Face has not", () => {
    const google = table(0, 2048, 12, { lengthList: "google" });
    expect(google[0]!.slice(0, 3)).toEqual([
      [9, 14, 7],
      [9, 6, 7],
      [10, 5, 14],
    ]);
    expect(digest(google)).toBe("eb83bb0d4b0cc5dd");
    expect(digest(table(0, 4096, 12, { lengthList: "google" }))).toBe(digest(table(0, 4096, 12)));
  });

  test("layer 0 of 4096 tokens begins so", () => {
    expect(table(0, 4096, 1)[0]!.slice(0, 4)).toEqual([
      [9, 14, 7],
      [9, 6, 7],
      [10, 5, 14],
      [6, 8, 12],
    ]);
  });

  test("the same layer has the same table each time, others have others", () => {
    expect(table(4, 1024, 3)).toEqual(table(4, 1024, 3));
    expect(table(5, 1024, 3)).not.toEqual(table(4, 1024, 3));
    expect(table(4, 1024, 3)[0]).not.toEqual(table(4, 1024, 3)[1]);
  });
});

test.each([
  [1024, 38],
  [2048, 0],
  [3072, 0],
  [4096, 0],
  [832, 0],
])("%i tokens: %i random blocks of layer 0 are seen anyway, over 12 heads", (length, expected) => {
  const last = length / 64 - 1;
  const twice = table(0, length, 12).flatMap((head) =>
    head.flatMap((row, i) => row.filter((block) => [0, i, i + 1, i + 2, last].includes(block))),
  );
  expect(twice.length).toBe(expected);
});

test("without global blocks every row draws outside its window, as many as there are", () => {
  const made = etcBlocks({ seed: 1, numHeads: 2, numRandomBlocks: 3, blocks: 6 });
  for (const head of made)
    for (const [row, blocks] of head.entries()) {
      expect(new Set(blocks).size).toBe(3);
      for (const block of blocks) expect(Math.abs(block - row)).toBeGreaterThan(1);
    }
  expect(etcBlocks({ seed: 0, numHeads: 1, numRandomBlocks: 3, blocks: 3 })[0]!.map((row) => row.length)).toEqual([1, 0, 1]);
});

test("says where there are too few blocks, or a table is too short", () => {
  expect(() => table(0, 704, 1)).toThrow(/BigBirdAttention: block \d+ has \d candidates for 2 random blocks/);
  expect(() => table(0, 4096, 1, { blockSize: 256 })).toThrow(/block 1 has 1 candidates for 3 random blocks/);
  expect(() => table(0, 4096, 1, { maxLength: 1024 })).toThrow(/length 4096 is beyond maxLength 1024/);
});
