import { reference, setDefaultDevice, tensor } from "@x/tensor";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { countsOf } from "../src/block-map/counts.ts";
import {
  and,
  bidirectionalWithin,
  blockMap,
  blockMapHeader,
  blockMapWords,
  blocks,
  causal,
  dilated,
  global,
  keyPadding,
  or,
  type Pattern,
  prefix,
  segments,
  window,
} from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

/** Whether query i of `queries` sees key j, counted out by hand: [queries, keys]. */
type Sight = (i: number, j: number, offset: number) => number;
const documents = Array.from({ length: 300 }, (_, i) => [3, 3, 1, 7][Math.floor(i / 67) % 4]!);
const images = Array.from({ length: 300 }, (_, i) => (i % 90 < 40 ? 0 : 1 + Math.floor(i / 90)));
const table = [[0, 2], [1, 1], [], [0, 0, 0, 3], [4, 12]];
const present = Array.from({ length: 300 }, (_, j) => j % 11 !== 3 && (j < 64 || j >= 128));
const all = Number.POSITIVE_INFINITY;

const known: Readonly<Record<string, readonly [Pattern, Sight]>> = {
  causal: [causal(), (i, j, o) => Number(j <= i + o)],
  "window(5)": [window(5), (i, j, o) => Number(j <= i + o && j >= i + o - 5)],
  "window(70, 3)": [window(70, 3), (i, j, o) => Number(j <= i + o + 3 && j >= i + o - 70)],
  "an open window": [window(all, all), () => 1],
  "dilated(9, 7)": [dilated(9, 7), (i, j, o) => Number(Math.abs(j - i - o) <= 63 && (j - i - o) % 7 === 0)],
  "global([0, 70, 71])": [global([0, 70, 71]), (i, j, o) => Number([0, 70, 71].includes(i + o) || [0, 70, 71].includes(j))],
  "prefix(65)": [prefix(65), (_, j) => Number(j < 65)],
  segments: [segments(documents), (i, j, o) => Number(i + o >= 0 && documents[i + o] === documents[j])],
  bidirectionalWithin: [bidirectionalWithin(images), (i, j, o) => Number(i + o >= 0 && images[i + o] === images[j] && images[j] !== 0)],
  "blocks of 64": [blocks(table, { size: 64 }), (i, j, o) => countIn(Math.floor((i + o) / 64), Math.floor(j / 64))],
  "blocks of 16": [blocks(table, { size: 16 }), (i, j, o) => countIn(Math.floor((i + o) / 16), Math.floor(j / 16))],
  keyPadding: [keyPadding(present), (_, j) => Number(present[j])],
};
const countIn = (row: number, block: number): number => (table[row] ?? []).filter((b) => b === block).length;

const lengths: readonly (readonly [number, number])[] = [
  [1, 1],
  [64, 64],
  [65, 63],
  [200, 200],
  [3, 250],
  [250, 70],
];

/** How often each query sees each key, read from one of the three orders. */
function read(words: Uint32Array, order: "row" | "column" | "diagonal", pattern = 0): number[][] {
  const { queries, keys, rows, columns } = blockMapHeader;
  const [q, k, r, c] = [queries, keys, rows, columns].map((at) => words[at]!) as [number, number, number, number];
  const counts = Array.from({ length: q }, () => new Array<number>(k).fill(0));
  const lists = { row: r, column: c, diagonal: r + c - 1 }[order];
  for (let list = 0; list < lists; list++) {
    const start = words[blockMapHeader[`${order}Lists`]]! + pattern * lists + list;
    for (let run = words[start]!; run < words[start + 1]!; run += 4)
      for (let block = words[run]!; block < words[run]! + words[run + 1]!; block++) {
        const [i, j] = order === "row" ? [list, block] : order === "column" ? [block, list] : [block, block + list - r + 1];
        addBlock(counts, words, run, i, j);
      }
  }
  return counts;
}

function addBlock(counts: number[][], words: Uint32Array, run: number, row: number, column: number): void {
  const mask = words[run + 3]!;
  for (let i = 64 * row; i < Math.min(64 * row + 64, counts.length); i++)
    for (let j = 64 * column; j < Math.min(64 * column + 64, counts[0]!.length); j++) {
      const [r, c] = [i % 64, j % 64];
      if (mask === 0 || (words[mask + 2 * r + (c >> 5)]! >>> (c & 31)) & 1) counts[i]![j]! += words[run + 2]!;
    }
}

const expected = (sight: Sight, queries: number, keys: number) =>
  Array.from({ length: queries }, (_, i) => Array.from({ length: keys }, (_, j) => sight(i, j, keys - queries)));

describe.each(Object.entries(known))("%s", (_, [pattern, sight]) => {
  test.each(lengths)("%i queries over %i keys: the three orders say what the pattern says", (queries, keys) => {
    const words = blockMapWords(pattern, { queries, keys });
    const wanted = expected(sight, queries, keys);
    for (const order of ["row", "column", "diagonal"] as const) expect(read(words, order), order).toEqual(wanted);
  });

  test("a block is what its pairs are, where it is known", () => {
    const range = fc.tuple(fc.integer({ min: -20, max: 250 }), fc.integer({ min: 1, max: 90 }));
    fc.assert(
      fc.property(range, range, ([q0, height], [start, width]) => {
        const k0 = Math.max(0, start);
        const times = pattern.block(q0, q0 + height, k0, k0 + width);
        if (times === undefined) return;
        const others = new Set<number>();
        for (let i = q0; i < q0 + height; i++) for (let j = k0; j < k0 + width; j++) others.add(pattern.times(i, j));
        expect([...others]).toEqual([times]);
      }),
    );
  });
});

const names = Object.keys(known);
test("and is the product, or the most, of what their patterns say", () =>
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.constantFrom(...names), fc.constantFrom(...lengths), (a, b, [queries, keys]) => {
      const [[p, seesP], [q, seesQ]] = [known[a]!, known[b]!];
      const both = expected((i, j, o) => seesP(i, j, o) * seesQ(i, j, o), queries, keys);
      const either = expected((i, j, o) => Math.max(seesP(i, j, o), seesQ(i, j, o)), queries, keys);
      expect(read(blockMapWords(and(p, q), { queries, keys }), "row")).toEqual(both);
      expect(read(blockMapWords(or(p, q), { queries, keys }), "column")).toEqual(either);
    }),
    { numRuns: 60 },
  ));

test("the reference reads what the words say, for each entry and head", async () => {
  const patterns = [
    [known.causal![0], known["blocks of 16"]![0], known["blocks of 64"]![0]],
    [known["window(5)"]![0], known.segments![0], known.causal![0]],
  ];
  const extents = { queries: 66, keys: 130 };
  const words = blockMapWords(patterns, extents);
  const counts = await countsOf(tensor(words), { batch: 2, heads: 3, ...extents }, "f32").data();
  const distinct = [...new Set(patterns.flat())];
  expect([...counts]).toEqual(patterns.flat().flatMap((pattern) => read(words, "row", distinct.indexOf(pattern)).flat()));
});

test("equal blocks share a mask, and equal neighbours a run", () => {
  const words = blockMapWords(causal(), { queries: 640, keys: 640 });
  const masks = new Set<number>();
  for (let run = words[blockMapHeader.runs]!; run < words[blockMapHeader.masks]!; run += 4) masks.add(words[run + 3]!);
  expect(masks.size).toBe(2);
  // 9 rows see blocks before their own, in one run each, and 10 see their own.
  expect(words[blockMapHeader.rowRuns]).toBe(19);
});

test("maps of about one size have one shape, and are made once", () => {
  const pattern = window(5);
  const map = blockMap(pattern, { queries: 100, keys: 100 });
  expect(blockMap(pattern, { queries: 100, keys: 100 })).toBe(map);
  expect(blockMap(pattern, { queries: 90, keys: 90 }).shape).toEqual(map.shape);
  expect(blockMap(window(5), { queries: 100, keys: 100 })).not.toBe(map);
});

test("131,072 tokens take words by the thousand, not by the million", () => {
  expect(blockMapWords(window(512), { queries: 131_072, keys: 131_072 }).length).toBeLessThanOrEqual(98_304);
});

test("errors name the pattern and the number", () => {
  expect(() => window(-1)).toThrow(/window: left .* got -1/);
  expect(() => dilated(2, 0)).toThrow(/dilated: dilation .* got 0/);
  expect(() => dilated(0.5, 1)).toThrow(/dilated: reach .* got 0.5/);
  expect(() => global([-1])).toThrow(/global: .* got -1/);
  expect(() => prefix(1.5)).toThrow(/prefix: length .* got 1.5/);
  expect(() => blocks([[0]], { size: 0 })).toThrow(/blocks: size .* got 0/);
  expect(() => blocks([[], [-2]], { size: 4 })).toThrow(/blocks: row 1 names block -2/);
  expect(() => and()).toThrow(/and: .* at least one/);
  expect(() => blockMapWords(causal(), { queries: 1.5, keys: 2 })).toThrow(/blockMap: queries .* got 1.5/);
  expect(() => blockMapWords([], { queries: 1, keys: 2 })).toThrow(/blockMap: patterns must be \[batch\]\[heads\], got 0 rows/);
  expect(() => blockMapWords([[causal()], []], { queries: 1, keys: 2 })).toThrow(/row 1 has 0 heads/);
  const many = blocks([new Array<number>(16).fill(0)], { size: 3 });
  expect(() => blockMapWords(many, { queries: 5, keys: 5 })).toThrow(/16 times .* 15/);
});
