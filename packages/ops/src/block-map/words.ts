import { type BlockLists, blockSize, blocksIn, maskWords, type Runs, runWords } from "./lists.ts";

/** The words of a header, by place. Places of parts count words from the start of the map. */
export const header = {
  version: 0,
  blockSize: 1,
  queries: 2,
  keys: 3,
  /** Blocks of queries and of keys. */
  rows: 4,
  columns: 5,
  /** Entries of the table: 1 stands for all of the batch, or for all heads. */
  batch: 6,
  heads: 7,
  patterns: 8,
  /** pattern of [batch, heads]. */
  table: 9,
  /** Places of the first run of each list of [patterns, rows], and one more: where the last ends. Likewise columns and diagonals. */
  rowLists: 10,
  columnLists: 11,
  diagonalLists: 12,
  /** The runs, four words each, lists of rows first; and how many runs those have. */
  runs: 13,
  rowRuns: 14,
  masks: 15,
} as const;
const headerWords = 16;

export interface Extents {
  readonly queries: number;
  readonly keys: number;
}

/**
 * The words of a block map: header, pattern of each (batch, head), list starts, runs, masks. A run is [first block, number of blocks, times, place of its mask or 0]. `table` numbers the
 * patterns, `batch` x `heads` of them.
 */
export function mapWords(
  patterns: readonly BlockLists[],
  table: { readonly batch: number; readonly heads: number; readonly numbers: readonly number[] },
  { queries, keys }: Extents,
): Uint32Array {
  const masks = new MaskTable(patterns);
  const orders = (["rows", "columns", "diagonals"] as const).map((order) =>
    patterns.flatMap((pattern, i) => pattern[order].map((runs) => ({ runs, pattern: i }))),
  );
  const counts = orders.map((lists) => lists.reduce((sum, { runs }) => sum + runs.length, 0));
  const tableAt = headerWords;
  const starts = [tableAt + table.numbers.length];
  for (const lists of orders) starts.push(starts.at(-1)! + lists.length + 1);
  const runsAt = Math.ceil(starts[3]! / runWords) * runWords;
  const masksAt = runsAt + counts.reduce((a, b) => a + b, 0);
  const words = new Uint32Array(capacityOf(masksAt + masks.words.length * maskWords));
  const [rows, columns] = [blocksIn(queries), blocksIn(keys)];
  words.set([1, blockSize, queries, keys, rows, columns, table.batch, table.heads, patterns.length, tableAt]);
  words.set([...starts.slice(0, 3), runsAt, counts[0]! / runWords, masksAt], header.rowLists);
  words.set(table.numbers, tableAt);
  let at = runsAt;
  for (const [order, lists] of orders.entries()) {
    let place = starts[order]!;
    for (const { runs, pattern } of lists) {
      words[place++] = at;
      at = putRuns(words, at, runs, (mask) => masksAt + masks.numberOf(pattern, mask) * maskWords);
    }
    words[place] = at;
  }
  for (const [i, mask] of masks.words.entries()) words.set(mask, masksAt + i * maskWords);
  return words;
}

function putRuns(words: Uint32Array, at: number, runs: Runs, placeOf: (mask: number) => number): number {
  for (let i = 0; i < runs.length; i += runWords, at += runWords) {
    words[at] = runs[i]!;
    words[at + 1] = runs[i + 1]!;
    words[at + 2] = runs[i + 2]!;
    words[at + 3] = runs[i + 3] === 0 ? 0 : placeOf(runs[i + 3]!);
  }
  return at;
}

/** The masks of all patterns, each once. */
class MaskTable {
  readonly words: Uint32Array[] = [];
  readonly #numbers: readonly (readonly number[])[];

  constructor(patterns: readonly BlockLists[]) {
    const known = new Map<string, number>();
    this.#numbers = patterns.map(({ masks }) =>
      masks.map((mask) => {
        const name = patterns.length === 1 ? String(known.size) : mask.join();
        const number = known.get(name) ?? this.words.push(mask) - 1;
        known.set(name, number);
        return number;
      }),
    );
  }

  numberOf(pattern: number, mask: number): number {
    return this.#numbers[pattern]![mask - 1]!;
  }
}

/** The next of 256, 384, 512, 768, 1024, ...: maps of about one size have one shape, so a step is not planned anew for each. */
export function capacityOf(words: number): number {
  let capacity = 256;
  while (capacity < words) capacity *= 2;
  return capacity > 256 && 0.75 * capacity >= words ? 0.75 * capacity : capacity;
}
