import { ShapeError, TensorError } from "@x/tensor";

/**
 * Who may look at whom. Positions count keys from 0; the last query stands at the last key, so query i of `queries` over `keys` stands at i + keys - queries.
 * A pattern knows nothing of tensors; `blockMap` turns it into what the kernels walk.
 */
export interface Pattern {
  /** How often the query at a position sees the key at another: 0 not at all; m times counts in the softmax like m equal keys. */
  times(query: number, key: number): number;
  /** The same for every pair of queries q0 ... q1 - 1 and keys k0 ... k1 - 1, or undefined where it is not one number or not known to be. */
  block(q0: number, q1: number, k0: number, k1: number): number | undefined;
  /** Blocks of one extent that give equal names here are the same, so that the bits of one serve all. */
  nameOf(q0: number, q1: number, k0: number, k1: number): string | number;
  /** `times` may be more than 1. */
  readonly repeats?: boolean;
  /** Where a query sees the keys at distances (key - query) `from` to `to`, all of them and no others: a sliding window, which a cache can serve. */
  readonly band?: { readonly from: number; readonly to: number };
  /** Of the keys that are no later than their queries, `times` is one number for each block of so many queries and each of so many keys, counted from 0; Infinity where it is one number altogether. */
  readonly blockSize?: number;
}

/** A pattern of the distance key - query: seen from `from` to `to`, both included, and only there where `step` divides it. */
function band(from: number, to: number, step = 1): Pattern {
  return {
    ...(step === 1 && { band: { from, to } }),
    nameOf: (q0, _, k0) => k0 - q0,
    times: (query, key) => Number(key - query >= from && key - query <= to && (key - query) % step === 0),
    block(q0, q1, k0, k1) {
      const [least, most] = [k0 - (q1 - 1), k1 - 1 - q0];
      if (most < from || least > to) return 0;
      return step === 1 && least >= from && most <= to ? 1 : undefined;
    },
  };
}

/** Each query sees the keys up to its own position. */
export const causal = (): Pattern => ({ ...band(Number.NEGATIVE_INFINITY, 0), blockSize: Number.POSITIVE_INFINITY });

/** Each query sees `left` keys before its position, itself, and `right` keys after it. */
export function window(left: number, right = 0): Pattern {
  for (const [name, count] of Object.entries({ left, right }))
    if (!(count >= 0) || (Number.isFinite(count) && !Number.isInteger(count)))
      throw new TensorError(`window: ${name} must be a number of keys, 0 or more (or Infinity), got ${count}.`);
  return band(-left, right);
}

/** Each query sees every `dilation`-th key, up to `reach` of them on each side: distances that `dilation` divides. Longformer's dilated window. */
export function dilated(reach: number, dilation: number): Pattern {
  if (!Number.isInteger(reach) || reach < 0) throw new TensorError(`dilated: reach must be a whole number of keys, got ${reach}.`);
  if (!Number.isInteger(dilation) || dilation < 1)
    throw new TensorError(`dilated: dilation must be a whole number from 1 on, got ${dilation}.`);
  return band(-reach * dilation, reach * dilation, dilation);
}

/** The tokens at these positions see every key and are seen by every query. */
export function global(tokens: readonly number[]): Pattern {
  const sorted = positionsOf("global", tokens);
  const isGlobal = new Set(sorted);
  const allOf = (from: number, to: number) => countIn(sorted, from, to) === to - from;
  return {
    nameOf: (q0, q1, k0, k1) => `${within(sorted, q0, q1)} ${within(sorted, k0, k1)}`,
    times: (query, key) => Number(isGlobal.has(query) || isGlobal.has(key)),
    block(q0, q1, k0, k1) {
      if (allOf(q0, q1) || allOf(k0, k1)) return 1;
      return countIn(sorted, q0, q1) + countIn(sorted, k0, k1) === 0 ? 0 : undefined;
    },
  };
}

/** Every query sees the first `length` keys. With `or(causal(), prefix(n))` a prefix language model. */
export function prefix(length: number): Pattern {
  if (!Number.isInteger(length) || length < 0) throw new TensorError(`prefix: length must be a whole number of keys, got ${length}.`);
  return {
    nameOf: (_, __, k0) => length - k0,
    times: (_, key) => Number(key < length),
    block: (_, __, k0, k1) => (k1 <= length ? 1 : k0 >= length ? 0 : undefined),
  };
}

/** Keys where `present` is true (or 1) are seen by everyone, the others by nobody: the padding of one entry of a batch. */
export function keyPadding(present: ArrayLike<number | boolean>): Pattern {
  const hidden = Array.from({ length: present.length }, (_, key) => key).filter((key) => !present[key]);
  return {
    nameOf: (_, __, k0, k1) => String(within(hidden, k0, k1)),
    times: (_, key) => Number(Boolean(present[key])),
    block(_, __, k0, k1) {
      const missing = countIn(hidden, k0, k1);
      return missing === 0 ? 1 : missing === k1 - k0 ? 0 : undefined;
    },
  };
}

/**
 * Blocks of `size` positions: the queries of block i see the keys of each block in table[i], as often as it stands there. Rows beyond the table see nothing.
 * BigBird's random and global blocks, repeated ones included.
 */
export function blocks(table: readonly (readonly number[])[], { size }: { readonly size: number }): Pattern {
  if (!Number.isInteger(size) || size < 1) throw new TensorError(`blocks: size must be a number of positions from 1 on, got ${size}.`);
  const rows = table.map((row, i) => countsOf(row, i));
  const at = (position: number) => Math.floor(position / size);
  const times = (query: number, key: number) => rows[at(query)]?.get(at(key)) ?? 0;
  return {
    nameOf: (q0, _, k0) => `${q0} ${k0}`,
    repeats: rows.some((row) => [...row.values()].some((count) => count > 1)),
    blockSize: size,
    times,
    block(q0, q1, k0, k1) {
      const first = times(q0, k0);
      // More than a few blocks are rarely alike, and asking for each would cost more than dividing.
      const [last, end] = [at(q1 - 1), at(k1 - 1)];
      if ((last - at(q0) + 1) * (end - at(k0) + 1) > 64) return seesNone(rows, at(q0), last, at(k0), end) ? 0 : undefined;
      for (let i = at(q0); i <= last; i++) for (let j = at(k0); j <= end; j++) if ((rows[i]?.get(j) ?? 0) !== first) return undefined;
      return first;
    },
  };
}

/** Whether no row from i0 to i1 names a block from j0 to j1. */
function seesNone(rows: readonly ReadonlyMap<number, number>[], i0: number, i1: number, j0: number, j1: number): boolean {
  for (const row of rows.slice(Math.max(0, i0), i1 + 1)) for (const block of row.keys()) if (block >= j0 && block <= j1) return false;
  return true;
}

function countsOf(row: readonly number[], i: number): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const block of row) {
    if (!Number.isInteger(block) || block < 0) throw new TensorError(`blocks: row ${i} names block ${block}; blocks count from 0.`);
    counts.set(block, (counts.get(block) ?? 0) + 1);
  }
  return counts;
}

function positionsOf(who: string, tokens: readonly number[]): number[] {
  const wrong = tokens.find((token) => !Number.isInteger(token) || token < 0);
  if (wrong !== undefined) throw new ShapeError(`${who}: tokens are positions from 0 on, got ${wrong}.`);
  return [...new Set(tokens)].sort((a, b) => a - b);
}

/** How many of the sorted numbers lie in from ... to - 1. */
function countIn(sorted: readonly number[], from: number, to: number): number {
  return lowerBound(sorted, to) - lowerBound(sorted, from);
}

/** Where the sorted numbers lie in from ... to - 1, counted from its start. */
const within = (sorted: readonly number[], from: number, to: number): number[] =>
  sorted.slice(lowerBound(sorted, from), lowerBound(sorted, to)).map((position) => position - from);

function lowerBound(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
