import { type Device, defaultDevice, hostConstant, ShapeError, type Tensor } from "@x/tensor";
import type { Pattern } from "../patterns/pattern.ts";
import { type BlockLists, listBlocks } from "./lists.ts";
import { type Extents, mapWords } from "./words.ts";

/** One pattern for all; or a table of them, [batch][heads], where an extent of 1 stands for all of the batch or for all heads. */
export type Patterns = Pattern | readonly (readonly Pattern[])[];

/** Maps kept for each pattern, by lengths: enough for the buckets of a loader. */
const kept = 16;
const listed = new WeakMap<Pattern, Map<string, BlockLists>>();
const placed = new WeakMap<object, WeakMap<Device, Map<string, Tensor>>>();

/** The words of the block map of `queries` queries over `keys` keys, as a step's argument takes them: pass { data, shape: [data.length], dtype: "u32" }. */
export function blockMapWords(patterns: Patterns, extents: Extents): Uint32Array {
  for (const [name, length] of Object.entries(extents))
    if (!Number.isInteger(length) || length < 0) throw new ShapeError(`blockMap: ${name} must be a number of positions, got ${length}.`);
  const table = isTable(patterns) ? patterns : [[patterns]];
  const heads = table[0]?.length ?? 0;
  const uneven = table.findIndex((row) => row.length !== heads);
  if (heads === 0 || uneven >= 0)
    throw new ShapeError(
      `blockMap: patterns must be [batch][heads], got ${table.length} rows of which row ${Math.max(0, uneven)} has ${table[Math.max(0, uneven)]?.length ?? 0} heads.`,
    );
  const distinct = [...new Set(table.flat())];
  const numbers = table.flat().map((pattern) => distinct.indexOf(pattern));
  const lists = distinct.map((pattern) => remembered(listed, pattern, extents, () => listBlocks(pattern, extents.queries, extents.keys)));
  return mapWords(lists, { batch: table.length, heads, numbers }, extents);
}

/**
 * The block map of patterns for attention's `map`: u32 [capacity], built on the host once for each pair of lengths and kept with the patterns, so hand the same ones in again. The tensor is
 * shared: it belongs to no scope.
 */
export function blockMap(
  patterns: Patterns,
  { device = defaultDevice("blockMap"), ...extents }: Extents & { readonly device?: Device },
): Tensor {
  const devices = placed.get(patterns) ?? new WeakMap<Device, Map<string, Tensor>>();
  placed.set(patterns, devices);
  return remembered(
    devices,
    device,
    extents,
    () => hostConstant(blockMapWords(patterns, extents), { device }),
    (tensor) => tensor.dispose(),
  );
}

const isTable = (patterns: Patterns): patterns is readonly (readonly Pattern[])[] => Array.isArray(patterns);

/** What was made for these lengths, or made now; the one used longest ago goes. */
function remembered<K extends object, V>(
  all: WeakMap<K, Map<string, V>>,
  owner: K,
  { queries, keys }: Extents,
  make: () => V,
  drop: (value: V) => void = () => {},
): V {
  const mine = all.get(owner) ?? new Map<string, V>();
  all.set(owner, mine);
  const name = `${queries} x ${keys}`;
  const value = mine.get(name) ?? make();
  mine.delete(name);
  mine.set(name, value);
  for (const [oldest, old] of mine) {
    if (mine.size <= kept) break;
    mine.delete(oldest);
    drop(old);
  }
  return value;
}
