import { type Sample, type SampleInput, sizeOf, type Tensor } from "@x/tensor";
import { decodeAttention } from "../decode-attention.ts";
import { writeRows } from "../write-rows.ts";
import { bools, floats, ints, normal, transposed } from "./inputs.ts";

type Shape = readonly [batch: number, heads: number, length: number, dim: number];
interface Case {
  readonly name: string;
  readonly q: Shape;
  readonly kvHeads: number;
  readonly capacity: number;
  readonly lengths: readonly number[];
  readonly valueDim?: number;
  readonly keyMask?: readonly number[];
  /** Of the bias: it has 2 reach + 1 entries a head. */
  readonly reach?: number;
  readonly softcap?: number;
  readonly window?: number;
  readonly ring?: boolean;
  /** Positions of a page, where the cache lies in pages. */
  readonly page?: number;
  readonly codes?: boolean;
  /** Of q, k and v, instead of f32. */
  readonly half?: "f16" | "bf16";
}
const cases: readonly Case[] = [
  { name: "the first token", q: [1, 1, 1, 4], kvHeads: 1, capacity: 1, lengths: [1] },
  { name: "one new token, lengths differ", q: [3, 2, 1, 8], kvHeads: 2, capacity: 12, lengths: [1, 5, 12] },
  { name: "6 heads on 2", q: [2, 6, 1, 8], kvHeads: 2, capacity: 7, lengths: [7, 3] },
  { name: "14 heads on 2", q: [1, 14, 1, 4], kvHeads: 2, capacity: 9, lengths: [6] },
  { name: "7 heads on 1", q: [2, 7, 1, 5], kvHeads: 1, capacity: 6, lengths: [4, 6] },
  { name: "a chunk of tokens, each sees those before it", q: [2, 4, 3, 8], kvHeads: 2, capacity: 10, lengths: [3, 9] },
  { name: "a chunk longer than the cache is filled: the first rows see nothing", q: [1, 2, 5, 4], kvHeads: 2, capacity: 6, lengths: [3] },
  { name: "an empty cache: zeros", q: [2, 2, 1, 4], kvHeads: 1, capacity: 5, lengths: [0, 2] },
  { name: "width 40, a long cache", q: [1, 2, 1, 40], kvHeads: 1, capacity: 133, lengths: [130] },
  { name: "width 72", q: [1, 3, 1, 72], kvHeads: 3, capacity: 19, lengths: [17] },
  { name: "width 64, past a tile of keys", q: [2, 2, 1, 64], kvHeads: 2, capacity: 70, lengths: [65, 70] },
  { name: "values of another width", q: [2, 4, 1, 8], kvHeads: 2, capacity: 6, lengths: [5, 6], valueDim: 3 },
  { name: "left padding", q: [2, 2, 1, 4], kvHeads: 2, capacity: 5, lengths: [4, 4], keyMask: [0, 0, 1, 1, 1, 1, 1, 1, 1, 1] },
  {
    name: "a mask that leaves nothing",
    q: [2, 2, 2, 4],
    kvHeads: 1,
    capacity: 5,
    lengths: [3, 5],
    keyMask: [0, 0, 0, 1, 1, 1, 0, 1, 0, 1],
  },
  { name: "values of 16, a tile and more", q: [1, 2, 1, 20], kvHeads: 2, capacity: 101, lengths: [99], valueDim: 16 },
  { name: "values of 32, two tokens, a window", q: [2, 2, 2, 8], kvHeads: 2, capacity: 60, lengths: [59, 3], valueDim: 32, window: 51 },
  { name: "an empty batch", q: [0, 2, 1, 4], kvHeads: 2, capacity: 5, lengths: [] },
  { name: "a window of one: the newest value", q: [2, 2, 1, 4], kvHeads: 1, capacity: 6, lengths: [1, 5], window: 1 },
  { name: "a window, lengths within and beyond it", q: [3, 4, 1, 8], kvHeads: 2, capacity: 12, lengths: [2, 4, 11], window: 4 },
  { name: "a window over a chunk", q: [2, 2, 5, 4], kvHeads: 2, capacity: 11, lengths: [5, 10], window: 3 },
  { name: "a window past a tile, over many splits", q: [1, 2, 2, 8], kvHeads: 1, capacity: 700, lengths: [650], window: 300 },
  { name: "a window and left padding", q: [1, 2, 2, 4], kvHeads: 2, capacity: 5, lengths: [4], keyMask: [0, 0, 1, 1, 1], window: 3 },
  { name: "a soft cap", q: [2, 2, 1, 8], kvHeads: 2, capacity: 7, lengths: [7, 3], softcap: 1.5 },
  { name: "a bias by distance", q: [2, 4, 1, 8], kvHeads: 2, capacity: 9, lengths: [9, 4], reach: 8 },
  { name: "a bias clamped at its ends, a chunk", q: [2, 6, 3, 4], kvHeads: 2, capacity: 60, lengths: [59, 7], reach: 3 },
  { name: "a bias of one number", q: [1, 2, 1, 4], kvHeads: 1, capacity: 5, lengths: [4], reach: 0 },
  {
    name: "a bias, a soft cap and a window",
    q: [2, 2, 2, 8],
    kvHeads: 1,
    capacity: 70,
    lengths: [66, 3],
    reach: 9,
    softcap: 2,
    window: 60,
  },
  { name: "more rows than a tile", q: [1, 6, 40, 8], kvHeads: 2, capacity: 61, lengths: [60], reach: 20, window: 25 },
  { name: "an empty ring: zeros", q: [2, 2, 1, 4], kvHeads: 2, capacity: 3, lengths: [0, 1], ring: true },
  { name: "more rows than a tile, all keys", q: [1, 6, 40, 8], kvHeads: 2, capacity: 61, lengths: [60], reach: 20, softcap: 2 },
  { name: "a ring that is not full", q: [2, 2, 1, 4], kvHeads: 2, capacity: 6, lengths: [1, 5], ring: true },
  { name: "a ring just full, and one that begins anew", q: [2, 2, 1, 4], kvHeads: 1, capacity: 6, lengths: [6, 7], ring: true },
  { name: "rings that went round", q: [3, 4, 1, 8], kvHeads: 2, capacity: 7, lengths: [13, 14, 40], ring: true, reach: 5 },
  { name: "a ring with a window, a chunk", q: [2, 2, 3, 4], kvHeads: 2, capacity: 9, lengths: [25, 4], ring: true, window: 5, reach: 2 },
  { name: "a ring past a tile", q: [1, 2, 1, 8], kvHeads: 1, capacity: 130, lengths: [171], ring: true, reach: 100 },
  {
    name: "a ring with places that are hidden",
    q: [1, 2, 1, 4],
    kvHeads: 2,
    capacity: 5,
    lengths: [7],
    ring: true,
    keyMask: [1, 1, 0, 1, 1],
  },
  { name: "pages of one position", q: [2, 2, 1, 4], kvHeads: 2, capacity: 4, lengths: [4, 3], page: 1 },
  { name: "pages, lengths at their ends and past them", q: [3, 4, 1, 8], kvHeads: 2, capacity: 12, lengths: [3, 4, 11], page: 3 },
  { name: "pages past a tile, a chunk", q: [2, 2, 3, 8], kvHeads: 1, capacity: 112, lengths: [101, 17], page: 16, reach: 7, softcap: 3 },
  { name: "pages and a window", q: [2, 2, 2, 4], kvHeads: 2, capacity: 20, lengths: [19, 5], page: 4, window: 6, valueDim: 3 },
  { name: "pages and left padding", q: [1, 2, 1, 4], kvHeads: 1, capacity: 6, lengths: [5], page: 2, keyMask: [0, 0, 0, 1, 1, 1] },
  {
    name: "pages that no tile ends with, values of 16",
    q: [2, 2, 1, 8],
    kvHeads: 1,
    capacity: 65,
    lengths: [64, 50],
    page: 5,
    valueDim: 16,
  },
  { name: "a ring of values of 16", q: [1, 1, 1, 4], kvHeads: 1, capacity: 53, lengths: [61], ring: true, reach: 3, valueDim: 16 },
  { name: "8 bits", q: [2, 4, 1, 8], kvHeads: 2, capacity: 9, lengths: [9, 4], codes: true },
  { name: "8 bits, odd width, a chunk past a tile", q: [1, 2, 2, 5], kvHeads: 1, capacity: 57, lengths: [56], codes: true, valueDim: 7 },
  { name: "8 bits, width 40", q: [1, 2, 2, 40], kvHeads: 2, capacity: 50, lengths: [49], codes: true, valueDim: 21 },
  { name: "8 bits in pages, values of 16", q: [1, 2, 1, 8], kvHeads: 2, capacity: 70, lengths: [66], codes: true, page: 7, valueDim: 16 },
  { name: "8 bits in a ring", q: [2, 2, 1, 4], kvHeads: 1, capacity: 6, lengths: [9, 4], codes: true, ring: true, reach: 2 },
  { name: "8 bits in pages", q: [2, 2, 1, 4], kvHeads: 2, capacity: 8, lengths: [7, 2], codes: true, page: 4, window: 3 },
  { name: "f16, a tile and more", q: [1, 2, 1, 16], kvHeads: 2, capacity: 60, lengths: [57], half: "f16" },
  {
    name: "f16 in a ring, heads share keys, odd width",
    q: [2, 6, 2, 5],
    kvHeads: 2,
    capacity: 9,
    lengths: [13, 4],
    half: "f16",
    ring: true,
  },
  { name: "bf16 in pages", q: [2, 2, 1, 8], kvHeads: 1, capacity: 55, lengths: [53, 7], half: "bf16", page: 5, window: 52 },
  { name: "bf16, more rows than a tile", q: [1, 6, 40, 8], kvHeads: 2, capacity: 61, lengths: [60], half: "bf16" },
];

/** Pages of an entry, and how many the pool has: their order is mixed, and one belongs to nobody. */
const pagesOf = ({ q: [batch], capacity, page = capacity }: Case) => {
  const most = capacity / page;
  const pool = batch * most + 1;
  return {
    pool,
    table: Array.from({ length: batch }, (_, b) => Array.from({ length: most }, (_, j) => (pool - 1 - b - batch * j) % pool)),
  };
};

/** The shape of a cache, and for each of its elements whether it holds a position that is filled. */
function layoutOf(size: Case, dim: number): { shape: number[]; filled: (element: number) => boolean } {
  const { q, kvHeads, capacity, lengths, ring, page } = size;
  const { pool, table } = pagesOf(size);
  const shape = page ? [pool, kvHeads, page, dim] : [q[0], kvHeads, capacity, dim];
  const [, , extent] = shape as [number, number, number];
  const filled = (element: number): boolean => {
    const [owner, row] = [Math.floor(element / (kvHeads * extent * dim)), Math.floor(element / dim) % extent];
    if (!page) return row < (ring ? Math.min(capacity, lengths[owner]!) : lengths[owner]!);
    return table.some((pages, b) => pages.includes(owner) && pages.indexOf(owner) * page + row < lengths[b]!);
  };
  return { shape, filled };
}

/** A cache of which what is not filled holds NaN: whoever multiplies it by a weight of 0 gives NaN. */
function poisoned(size: Case, dim: number): SampleInput {
  const { shape, filled } = layoutOf(size, dim);
  const values = Array.from({ length: sizeOf(shape) }, (_, i) => (filled(i) ? Math.sin(1 + i * 0.7) : Number.NaN));
  return floats(shape, ...values);
}

function inputsOf(size: Case, cache: (dim: number) => SampleInput): Sample["inputs"] {
  const { q, capacity, lengths, valueDim = q[3], keyMask, reach, page, codes, half = "f32" } = size;
  const held = codes ? (dim: number) => coded(layoutOf(size, dim).shape) : cache;
  return {
    ...{ q: { ...normal(q), dtype: half }, lengths: ints([q[0]], ...lengths) },
    ...{ k: { dtype: half, ...held(q[3]) }, v: { dtype: half, ...held(valueDim) } },
    ...(keyMask && { keyMask: bools([q[0], capacity], ...keyMask) }),
    ...(reach !== undefined && { bias: normal([q[1], 2 * reach + 1]) }),
    ...(page && { pages: ints([q[0], capacity / page], ...pagesOf(size).table.flat()) }),
    ...(codes && { keyScales: smaller(cache(1)), valueScales: smaller(cache(1)) }),
  };
}

const bytes = Array.from({ length: 251 }, (_, i) => (i * 97) % 256);
const coded = (shape: readonly number[]): SampleInput => ({ shape, dtype: "u8", fill: { kind: "values", values: bytes } });
/** Scales that give numbers of about 1. */
const smaller = ({ shape, fill }: SampleInput): SampleInput =>
  fill?.kind === "values" ? floats(shape, ...fill.values.map((value) => value / 80)) : normal(shape, 0.003, 0.01);

const tolerance = { atol: 2e-5, rtol: 2e-5 };
/** Halves have the usual ones. */
const tolerances = ({ half }: Case): Pick<Sample, "tolerance" | "gradientTolerance"> =>
  half ? {} : { tolerance, gradientTolerance: { atol: 1e-4, rtol: 1e-4 } };
const attrsOf = ({ q, softcap = 0, window = 0, ring = false }: Case) => ({ scale: q[3] ** -0.5, softcap, window, ring });

const decoding = cases.flatMap((size): Sample[] => [
  {
    name: size.name,
    op: decodeAttention,
    inputs: inputsOf(size, (dim) => normal(layoutOf(size, dim).shape)),
    attrs: attrsOf(size),
    ...tolerances(size),
  },
  {
    name: `${size.name}, the rest poisoned`,
    op: decodeAttention,
    inputs: inputsOf(size, (dim) => poisoned(size, dim)),
    attrs: attrsOf(size),
    ...tolerances(size),
  },
]);

const heads = (x: Tensor, count: number): Tensor => x.reshape([x.shape[0]!, x.shape[1]!, count, x.shape[2]! / count]).permute([0, 2, 1, 3]);

const writing: readonly Sample[] = [
  { name: "one row", op: writeRows, inputs: { cache: normal([1, 1, 1, 1]), x: normal([1, 1, 1, 1]), starts: ints([1], 0) } },
  {
    name: "one row an entry, at its own place",
    op: writeRows,
    inputs: { cache: normal([3, 2, 5, 4]), x: normal([3, 2, 1, 4]), starts: ints([3], 0, 4, 2) },
  },
  { name: "a chunk", op: writeRows, inputs: { cache: normal([2, 3, 7, 5]), x: normal([2, 3, 4, 5]), starts: ints([2], 0, 3) } },
  { name: "the whole cache", op: writeRows, inputs: { cache: normal([2, 1, 6, 3]), x: normal([2, 1, 6, 3]), starts: ints([2], 0) } },
  {
    name: "rows past the end are dropped",
    op: writeRows,
    inputs: { cache: normal([2, 1, 4, 3]), x: normal([2, 1, 3, 3]), starts: ints([2], 2, 4) },
  },
  {
    name: "rows before the start are dropped",
    op: writeRows,
    inputs: { cache: normal([2, 1, 4, 3]), x: normal([2, 1, 3, 3]), starts: ints([2], -1, -3) },
  },
  { name: "no rows", op: writeRows, inputs: { cache: normal([2, 1, 4, 3]), x: normal([2, 1, 0, 3]), starts: ints([2], 1) } },
  { name: "no entries", op: writeRows, inputs: { cache: normal([0, 1, 4, 3]), x: normal([0, 1, 2, 3]), starts: ints([0]) } },
  {
    name: "a transposed row block",
    op: writeRows,
    inputs: { cache: normal([2, 2, 8, 6]), x: transposed(normal([2, 2, 3, 6])), starts: ints([2], 5, 1) },
  },
  {
    name: "a ring: rows go round its end",
    op: writeRows,
    inputs: { cache: normal([3, 2, 5, 4]), x: normal([3, 2, 3, 4]), starts: ints([3], 0, 4, 18) },
    attrs: { ring: true },
  },
  {
    name: "a ring: of more rows than it holds the last stay",
    op: writeRows,
    inputs: { cache: normal([2, 1, 4, 3]), x: normal([2, 1, 11, 3]), starts: ints([2], 0, 6) },
    attrs: { ring: true },
  },
  {
    name: "a ring: rows before the start are dropped",
    op: writeRows,
    inputs: { cache: normal([2, 1, 4, 3]), x: normal([2, 1, 3, 3]), starts: ints([2], -1, -5) },
    attrs: { ring: true },
  },
  {
    name: "pages: rows over the end of one",
    op: writeRows,
    inputs: { cache: normal([5, 2, 3, 4]), x: normal([2, 2, 4, 4]), starts: ints([2], 2, 0), pages: ints([2, 2], 4, 0, 1, 3) },
  },
  {
    name: "pages: rows outside are dropped",
    op: writeRows,
    inputs: { cache: normal([3, 1, 2, 3]), x: normal([2, 1, 3, 3]), starts: ints([2], -1, 3), pages: ints([2, 2], 2, 2, 0, 1) },
  },
  { name: "bytes", op: writeRows, inputs: { cache: coded([2, 2, 5, 4]), x: coded([2, 2, 2, 4]), starts: ints([2], 3, 1) } },
  {
    name: "bytes of odd width in pages",
    op: writeRows,
    inputs: { cache: coded([3, 2, 3, 5]), x: coded([2, 2, 2, 5]), starts: ints([2], 2, 0), pages: ints([2, 2], 1, 0, 2, 2) },
  },
  {
    name: "bytes in a ring",
    op: writeRows,
    inputs: { cache: coded([2, 1, 3, 8]), x: coded([2, 1, 5, 8]), starts: ints([2], 1, 3) },
    attrs: { ring: true },
  },
  {
    name: "writeRows of heads split from a projection",
    inputs: { cache: normal([2, 3, 7, 4]), x: normal([2, 2, 12]), starts: ints([2], 0, 5) },
    build: ({ cache, x, starts }) => writeRows({ cache: cache!, x: heads(x!, 3), starts: starts! }),
  },
];

export const decodeAttentionSamples: readonly Sample[] = [
  ...decoding,
  {
    name: "decodeAttention of a head split from a projection",
    inputs: { q: normal([2, 1, 24]), k: normal([2, 2, 9, 4]), v: normal([2, 2, 9, 4]), lengths: ints([2], 4, 9) },
    build: ({ q, k, v, lengths }) => decodeAttention({ q: heads(q!, 6), k: k!, v: v!, lengths: lengths! }, { scale: 0.5 }),
    tolerance,
  },
  ...writing,
];
