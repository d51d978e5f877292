import { TensorError } from "@x/tensor";
import type { Pattern } from "../patterns/pattern.ts";

/** Queries and keys of a block. */
export const blockSize = 64;
/** Words of a bit mask: bit c % 32 of word 2 r + floor(c / 32) is query r, key c of the block. */
export const maskWords = (blockSize * blockSize) / 32;

/** Runs of a list, flat: first block, number of blocks, times, mask (0: none; n: the n-th of the masks). */
export type Runs = number[];
export const runWords = 4;

/** A block that is seen in part has a mask for each of these, which say how often: 3 times is 1 and 2. */
export const planes = [1, 2, 4, 8] as const;
const mostTimes = 15;

/** What one pattern looks at, block by block: runs of key blocks for each query block, of query blocks for each key block, and of query blocks along each diagonal. */
export interface BlockLists {
  readonly rows: readonly Runs[];
  readonly columns: readonly Runs[];
  readonly diagonals: readonly Runs[];
  readonly masks: readonly Uint32Array[];
}

/** Divides queries x keys until a pattern knows what a part is, down to blocks, whose bits it then asks for. */
export function listBlocks(pattern: Pattern, queries: number, keys: number): BlockLists {
  return new Lister(pattern, queries, keys).run();
}

class Lister {
  readonly #pattern: Pattern;
  readonly #queries: number;
  readonly #keys: number;
  readonly #rows: Runs[];
  readonly #columns: Runs[];
  readonly #diagonals: Runs[];
  readonly #masks: Uint32Array[] = [];
  readonly #numbers = new Map<string, number>();
  /** What blocks hold, by their extent and name. */
  readonly #known = new Map<string, readonly Plane[]>();

  constructor(pattern: Pattern, queries: number, keys: number) {
    this.#pattern = pattern;
    this.#queries = queries;
    this.#keys = keys;
    const [rows, columns] = [blocksIn(queries), blocksIn(keys)];
    const lists = (count: number): Runs[] => Array.from({ length: count }, () => []);
    this.#rows = lists(rows);
    this.#columns = lists(columns);
    this.#diagonals = lists(diagonalsOf(rows, columns));
  }

  run(): BlockLists {
    let size = 1;
    while (size < Math.max(this.#rows.length, this.#columns.length)) size *= 2;
    this.#divide(0, 0, size);
    return { rows: this.#rows, columns: this.#columns, diagonals: this.#diagonals, masks: this.#masks };
  }

  /** Parts come left before right and top before bottom: so the runs of every list come in order. */
  #divide(row: number, column: number, size: number): void {
    if (row >= this.#rows.length || column >= this.#columns.length) return;
    const at = this.#positions(row, column, size);
    const times = this.#pattern.block(...at);
    if (times !== undefined) {
      if (times > 0) this.#add(row, column, size, times, 0);
    } else if (size === 1) this.#addMixed(row, column, at);
    else {
      const half = size / 2;
      for (const down of [0, half]) for (const right of [0, half]) this.#divide(row + down, column + right, half);
    }
  }

  #positions(row: number, column: number, size: number): Range {
    const offset = this.#keys - this.#queries;
    const end = (block: number, most: number) => Math.min((block + size) * blockSize, most);
    return [row * blockSize + offset, end(row, this.#queries) + offset, column * blockSize, end(column, this.#keys)];
  }

  #addMixed(row: number, column: number, at: Range): void {
    const [q0, q1, k0, k1] = at;
    const name = `${q1 - q0} x ${k1 - k0}: ${this.#pattern.nameOf(...at)}`;
    const planes =
      this.#known.get(name) ?? planesOf(this.#pattern, at).map(({ times, mask }) => ({ times, mask: mask ? this.#numberOf(mask) : 0 }));
    this.#known.set(name, planes);
    for (const { times, mask } of planes) this.#add(row, column, 1, times, mask);
  }

  #numberOf(mask: Uint32Array): number {
    const name = mask.join();
    const number = this.#numbers.get(name) ?? this.#masks.push(mask);
    this.#numbers.set(name, number);
    return number;
  }

  #add(row: number, column: number, size: number, times: number, mask: number): void {
    const [rows, columns] = [this.#rows.length, this.#columns.length];
    const [bottom, right] = [Math.min(row + size, rows), Math.min(column + size, columns)];
    for (let i = row; i < bottom; i++) append(this.#rows[i]!, column, right - column, times, mask);
    for (let j = column; j < right; j++) append(this.#columns[j]!, row, bottom - row, times, mask);
    for (let distance = column - bottom + 1; distance < right - row; distance++) {
      const first = Math.max(row, column - distance);
      append(this.#diagonals[distance + rows - 1]!, first, Math.min(bottom, right - distance) - first, times, mask);
    }
  }
}

/** q0, q1, k0, k1 as patterns take them. */
type Range = [number, number, number, number];
/** Where a block is seen so many times: the number of its mask, 0 for all of it. */
interface Plane {
  readonly times: number;
  readonly mask: number;
}

function planesOf(pattern: Pattern, [q0, q1, k0, k1]: Range) {
  const made = planes.map((times) => ({ times, mask: new Uint32Array(maskWords) }));
  const counts = new Set<number>();
  for (let query = q0; query < q1; query++)
    for (let key = k0; key < k1; key++) {
      const times = pattern.times(query, key);
      counts.add(times);
      if (times === 0) continue;
      const [word, bit] = [2 * (query - q0) + ((key - k0) >>> 5), 1 << ((key - k0) & 31)];
      for (const plane of made) if (times & plane.times) plane.mask[word]! |= bit;
    }
  const [most, least] = [Math.max(...counts), Math.min(...counts)];
  if (most === least) return most === 0 ? [] : [{ times: most, mask: undefined }];
  if (most > mostTimes)
    throw new TensorError(
      `blockMap: query ${q0} or one after it sees a key ${most} times in a block seen in part; there it may be ${mostTimes}.`,
    );
  return made.filter(({ mask }) => mask.some((word) => word !== 0));
}

function append(runs: Runs, first: number, length: number, times: number, mask: number): void {
  const last = runs.length - runWords;
  if (last >= 0 && runs[last]! + runs[last + 1]! === first && runs[last + 2] === times && runs[last + 3] === mask)
    runs[last + 1]! += length;
  else runs.push(first, length, times, mask);
}

export const blocksIn = (positions: number): number => Math.ceil(positions / blockSize);
export const diagonalsOf = (rows: number, columns: number): number => (rows > 0 && columns > 0 ? rows + columns - 1 : 0);
