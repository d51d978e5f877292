import type { SampleInput } from "@x/tensor";
import { blockMapWords, type Patterns } from "../block-map/block-map.ts";
import { and, or } from "../patterns/combine.ts";
import { segments } from "../patterns/ids.ts";
import { blocks, causal, dilated, global, keyPadding, type Pattern, prefix, window } from "../patterns/pattern.ts";
import { bools, normal } from "./inputs.ts";

interface Size {
  readonly batch?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly queries: number;
  readonly keys?: number;
  readonly dim: number;
  /** Of the values; `dim` if absent. */
  readonly valueDim?: number;
}
export const whole = ({ batch = 1, heads = 1, kvHeads = heads, queries, keys = queries, dim, valueDim = dim }: Size) => ({
  batch,
  heads,
  kvHeads,
  queries,
  keys,
  dim,
  valueDim,
});

function qkv(size: Size): Readonly<Record<"q" | "k" | "v", SampleInput>> {
  const { batch, heads, kvHeads, queries, keys, dim, valueDim } = whole(size);
  return { q: normal([batch, heads, queries, dim]), k: normal([batch, kvHeads, keys, dim]), v: normal([batch, kvHeads, keys, valueDim]) };
}

/** Name, shape and mask of each case: forward and backward run them all. */
export interface Case extends Size {
  readonly name: string;
  readonly causal?: boolean;
  /** 1 where a key may be seen, row-major over [batch, keys], repeated. */
  readonly keyMask?: readonly number[];
  readonly scale?: number;
  readonly pattern?: Patterns;
  /** Of the bias: it has 2 reach + 1 entries a head. */
  readonly reach?: number;
  readonly softcap?: number;
  readonly dropout?: number;
  readonly ordinal?: number;
}
const dense: readonly Case[] = [
  { name: "one query, one key, one number", queries: 1, dim: 1 },
  { name: "one key: its value", queries: 3, keys: 1, dim: 5 },
  { name: "two batch entries, prime lengths", batch: 2, heads: 3, queries: 13, keys: 17, dim: 8 },
  { name: "causal, prime length", batch: 2, heads: 3, queries: 13, dim: 8, causal: true },
  { name: "causal, fewer queries than keys: the last sees all", heads: 2, queries: 2, keys: 5, dim: 4, causal: true },
  { name: "causal, more queries than keys: the first rows see nothing", heads: 2, queries: 5, keys: 2, dim: 4, causal: true },
  { name: "causal, a row of one query", heads: 2, queries: 1, keys: 9, dim: 8, causal: true },
  { name: "6 heads on 2", batch: 2, heads: 6, kvHeads: 2, queries: 5, dim: 8, causal: true },
  { name: "14 heads on 2", heads: 14, kvHeads: 2, queries: 3, keys: 7, dim: 4 },
  { name: "7 heads on 7", heads: 7, kvHeads: 7, queries: 4, dim: 4, causal: true },
  { name: "4 heads on 1", heads: 4, kvHeads: 1, queries: 6, dim: 8, causal: true },
  { name: "width 40, off the tile", heads: 2, queries: 33, dim: 40, causal: true },
  { name: "width 72, off the tile", heads: 2, kvHeads: 1, queries: 31, keys: 35, dim: 72 },
  { name: "width 64, past the tile", queries: 65, dim: 64, causal: true },
  { name: "width 128", queries: 5, keys: 9, dim: 128, causal: true },
  { name: "width 80 with 96 wide values", queries: 9, dim: 80, valueDim: 96, causal: true },
  { name: "values wider than keys", heads: 2, queries: 7, keys: 6, dim: 3, valueDim: 8 },
  { name: "values narrower than keys", heads: 4, kvHeads: 2, queries: 7, dim: 8, valueDim: 3, causal: true },
  { name: "length 130 by 67", queries: 130, keys: 67, dim: 16, causal: true },
  { name: "length 3 by 300, causal", queries: 3, keys: 300, dim: 8, causal: true },
  { name: "length 9 by 401, causal: many tiles of keys", queries: 9, keys: 401, dim: 4, causal: true },
  { name: "length 5 by 801, grouped heads: many tiles of keys", heads: 2, kvHeads: 1, queries: 5, keys: 801, dim: 4 },
  { name: "key padding on both sides", batch: 2, heads: 2, queries: 5, dim: 4, keyMask: [0, 0, 1, 1, 1, 1, 1, 1, 0, 0] },
  {
    name: "left padding, causal: the first rows see nothing",
    batch: 2,
    heads: 2,
    queries: 5,
    dim: 4,
    causal: true,
    keyMask: [0, 0, 1, 1, 1, 1, 1, 1, 1, 1],
  },
  {
    name: "a batch entry without keys",
    batch: 3,
    heads: 4,
    kvHeads: 2,
    queries: 3,
    keys: 4,
    dim: 8,
    keyMask: [1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1],
  },
  { name: "a hole beyond the first tile", queries: 4, keys: 70, dim: 8, keyMask: [...new Array<number>(64).fill(0), 1, 0, 1, 1, 0, 1] },
  { name: "scale 1, as T5", heads: 2, queries: 6, dim: 4, scale: 1 },
  { name: "no queries", heads: 2, queries: 0, keys: 3, dim: 4 },
  { name: "no keys: zeros", heads: 2, queries: 3, keys: 0, dim: 4 },
  { name: "an empty batch", batch: 0, heads: 2, queries: 3, dim: 4, causal: true },
];

const everyone = window(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
const documents = Array.from({ length: 150 }, (_, i) => Number(i >= 31) + Number(i >= 100) + Number(i >= 101));
const mapped: readonly Case[] = [
  { name: "a map of one pair", queries: 1, dim: 1, pattern: everyone },
  { name: "a map that shows everything", heads: 2, queries: 65, keys: 7, dim: 8, pattern: everyone },
  { name: "a map that shows nothing: zeros", heads: 2, queries: 5, dim: 4, pattern: blocks([], { size: 64 }) },
  { name: "a causal map", heads: 2, kvHeads: 1, queries: 66, dim: 8, pattern: causal() },
  { name: "a causal map, fewer queries than keys", queries: 5, keys: 133, dim: 8, pattern: causal() },
  { name: "a causal map, more queries than keys: the first rows see nothing", queries: 133, keys: 9, dim: 8, pattern: causal() },
  { name: "a window within the block", heads: 2, queries: 13, dim: 8, pattern: window(3) },
  { name: "a window over several blocks", queries: 131, keys: 66, dim: 8, valueDim: 5, pattern: window(70, 3) },
  { name: "a window longer than the sequence", queries: 66, dim: 4, pattern: window(300) },
  { name: "a window to the future alone, left of which nothing is", queries: 70, keys: 20, dim: 8, pattern: and(window(5), causal()) },
  { name: "a dilated window", queries: 67, dim: 8, pattern: dilated(9, 5) },
  { name: "a window and global tokens", queries: 66, keys: 99, dim: 8, pattern: or(window(4, 4), global([0, 77])) },
  { name: "a prefix", queries: 66, dim: 8, pattern: or(causal(), prefix(65)) },
  { name: "packed documents", queries: 66, keys: 131, dim: 8, pattern: and(causal(), segments(documents)) },
  {
    name: "blocks, some of them twice",
    heads: 2,
    kvHeads: 1,
    queries: 65,
    keys: 68,
    dim: 8,
    pattern: blocks(
      [
        [0, 0, 1],
        [1, 1, 1],
        [2, 0, 0],
      ],
      { size: 64 },
    ),
  },
  {
    name: "small blocks, some of them twice",
    queries: 80,
    dim: 8,
    pattern: blocks([[0, 0, 1], [1, 2, 2, 2], [4, 0, 0], [3], [4]], { size: 16 }),
  },
  {
    name: "a pattern for each head",
    batch: 2,
    heads: 4,
    kvHeads: 2,
    queries: 7,
    keys: 66,
    dim: 8,
    pattern: [[causal(), window(2, 2), everyone, dilated(3, 2)]],
  },
  {
    name: "a pattern for each entry: left padding",
    batch: 2,
    heads: 1,
    queries: 66,
    dim: 8,
    pattern: [[and(causal(), keyPadding(Array.from({ length: 66 }, (_, j) => j > 64)))], [causal()]],
  },
  { name: "a map and key padding", batch: 2, queries: 13, keys: 67, dim: 8, pattern: window(20, 5), keyMask: [0, 1, 1, 1, 0] },
  { name: "a map of no queries", queries: 0, keys: 3, dim: 4, pattern: causal() },
  { name: "a map of no keys: zeros", queries: 3, keys: 0, dim: 4, pattern: causal() },
];
const bent: readonly Case[] = [
  { name: "a bias for every distance", heads: 3, queries: 13, keys: 17, dim: 8, reach: 16 },
  { name: "a bias clamped at its ends", heads: 2, queries: 70, keys: 53, dim: 8, reach: 5 },
  { name: "a bias of one number", heads: 2, queries: 5, dim: 4, reach: 0 },
  { name: "a bias, causal, grouped heads", batch: 1, heads: 4, kvHeads: 2, queries: 51, dim: 8, reach: 40, causal: true },
  { name: "a bias, fewer queries than keys", heads: 2, queries: 3, keys: 150, dim: 8, reach: 149, causal: true },
  { name: "a bias, more queries than keys", queries: 70, keys: 5, dim: 8, reach: 3, causal: true },
  {
    name: "a bias and a map",
    heads: 2,
    queries: 65,
    keys: 66,
    dim: 8,
    reach: 70,
    pattern: [[window(70), blocks([[0, 0], [0, 1, 1], [2]], { size: 64 })]],
  },
  { name: "a bias and key padding", batch: 2, queries: 6, dim: 4, reach: 4, keyMask: [1, 1, 0, 1, 0] },
  { name: "a bias without queries", queries: 0, keys: 3, dim: 4, reach: 2 },
  { name: "a soft cap", heads: 2, queries: 13, dim: 8, softcap: 2, scale: 1 },
  { name: "a soft cap, causal, off the tile", heads: 2, queries: 53, dim: 8, softcap: 30, causal: true },
  { name: "a soft cap, a bias, a map", heads: 1, queries: 66, dim: 8, softcap: 1.5, reach: 9, pattern: window(30) },
];
const thinned: readonly Case[] = [
  { name: "dropout", heads: 2, queries: 5, dim: 4, dropout: 0.3 },
  {
    name: "dropout, odd lengths, causal, grouped heads",
    batch: 1,
    heads: 4,
    kvHeads: 2,
    queries: 31,
    keys: 53,
    dim: 8,
    dropout: 0.5,
    causal: true,
  },
  { name: "dropout past the tiles, a late draw", heads: 1, queries: 53, keys: 101, dim: 8, dropout: 0.2, ordinal: 3_000_000_000 },
  { name: "dropout of everything: zeros", queries: 3, dim: 4, dropout: 1 },
  {
    name: "dropout, a map with repeats",
    heads: 1,
    queries: 65,
    keys: 131,
    dim: 8,
    dropout: 0.4,
    pattern: blocks([[0, 0], [0, 1, 1], [2]], { size: 64 }),
  },
  {
    name: "dropout, a bias, a soft cap, key padding",
    batch: 2,
    queries: 9,
    dim: 4,
    dropout: 0.25,
    reach: 3,
    softcap: 2,
    keyMask: [1, 1, 0, 1, 1],
  },
];
export const cases: readonly Case[] = [...dense, ...mapped, ...bent, ...thinned];

export const attrsOf = ({ causal = false, softcap = 0, dropout = 0, ordinal = 7, ...size }: Case) => ({
  scale: size.scale ?? size.dim ** -0.5,
  ...{ causal, softcap, dropout, ordinal },
});

const words = (values: ArrayLike<number>): SampleInput => ({
  shape: [values.length],
  dtype: "u32",
  fill: { kind: "values", values: Array.from(values) },
});

export function inputsOf(size: Case): Readonly<Record<string, SampleInput>> {
  const { batch, heads, queries, keys } = whole(size);
  return {
    ...qkv(size),
    ...(size.keyMask && { keyMask: bools([batch, keys], ...size.keyMask) }),
    ...(size.pattern && { map: words(blockMapWords(size.pattern, { queries, keys })) }),
    ...(size.reach !== undefined && { bias: normal([heads, 2 * size.reach + 1]) }),
    ...(size.dropout !== undefined && { key: words([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]) }),
  };
}

/** Whether a query of an entry and head sees any key. */
export function seesAny(size: Case, entry: number, head: number, query: number): boolean {
  const { queries, keys } = whole(size);
  const { pattern, keyMask } = size;
  const table = Array.isArray(pattern) ? (pattern as readonly (readonly Pattern[])[]) : undefined;
  const row = table?.[Math.min(entry, table.length - 1)];
  const own = row ? row[Math.min(head, row.length - 1)] : (pattern as Pattern | undefined);
  return Array.from({ length: keys }, (_, key) => key).some(
    (key) =>
      (!size.causal || key <= query + keys - queries) &&
      (!own || own.times(query + keys - queries, key) > 0) &&
      (!keyMask || keyMask[(entry * keys + key) % keyMask.length] === 1),
  );
}
