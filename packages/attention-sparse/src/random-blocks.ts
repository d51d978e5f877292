import { TensorError } from "@x/tensor";
import { NumpyRandom } from "./numpy-random.ts";

/** Random blocks of each head and each block of queries but the first and the last: [heads][blocks - 2][random blocks]. */
export type BlockTable = readonly (readonly (readonly number[])[])[];

export interface RandomBlocksOptions {
  /** The layer's index is the seed. */
  readonly seed: number;
  readonly numHeads: number;
  readonly numRandomBlocks: number;
  readonly blockSize: number;
  /** Of the sequence, a multiple of blockSize. */
  readonly length: number;
  /** Sequences for which the paper's models were made, whose blocks come from the first 1024 tokens of a table for this length. */
  readonly maxLength: number;
  /** Which lengths these are: Hugging Face leaves out 2048, Google's code does not. */
  readonly lengthList: "hf" | "google";
}

const paperLengths = { hf: [1024, 3072, 4096], google: [1024, 2048, 3072, 4096] };
/** Tokens from which the paper's tables choose. */
const paperTokens = 1024;

/** The published random blocks, number for number. Zaheer et al. 2020, arXiv 2007.14062; google-research/bigbird. */
export function bigBirdBlocks(options: RandomBlocksOptions): BlockTable {
  const random = new NumpyRandom(options.seed);
  return paperLengths[options.lengthList].includes(options.length) ? paperTable(random, options) : plannedTable(random, options);
}

/** Head by head, a table for maxLength of which the first rows are used. */
function paperTable(random: NumpyRandom, { numHeads, numRandomBlocks, blockSize, length, maxLength }: RandomBlocksOptions): BlockTable {
  const [rows, blocks] = [Math.floor(length / blockSize) - 2, Math.floor(maxLength / blockSize)];
  if (blocks - 2 < rows)
    throw new TensorError(
      `BigBirdAttention: length ${length} is beyond maxLength ${maxLength}. Make the layer with the model's longest sequence.`,
    );
  const inner = Array.from({ length: blocks - 2 }, (_, i) => i + 1);
  const last = paperTokens > 2 * blockSize ? Math.floor(paperTokens / blockSize) - 1 : blocks - 1;
  return Array.from({ length: numHeads }, () => {
    const table = inner.map((row) => enough(row, random.permutation(paperCandidates(inner, row, last)), numRandomBlocks));
    return table.slice(0, rows);
  });
}

/** What a row chooses from, as published: the window is left out by place among the inner blocks, and the bottom rows leave out nothing. */
function paperCandidates(inner: readonly number[], row: number, last: number): number[] {
  const bottom = inner.length - 1;
  if (row === 1) return inner.slice(2, last);
  if (row === 2) return inner.slice(3, last);
  if (row >= bottom) return inner.slice(0, last);
  const start = row - 2;
  if (start > last) return inner.slice(0, last);
  if (row + 1 === last) return inner.slice(0, start);
  return [...inner.slice(0, start), ...inner.slice(row + 1, last)];
}

/** A range of blocks that ends before `end`, of which each row has `count`. */
interface Part {
  readonly end: number;
  readonly count: number;
}

function partsOf(blocks: number, numRandomBlocks: number): readonly Part[] {
  const near = 2 * numRandomBlocks + 5;
  if (near < blocks)
    return [
      { end: near, count: numRandomBlocks },
      { end: blocks, count: 0 },
    ];
  if (numRandomBlocks + 5 < blocks) {
    const half = Math.floor(numRandomBlocks / 2);
    return [
      { end: numRandomBlocks + 5, count: half },
      { end: blocks, count: numRandomBlocks - half },
    ];
  }
  return [{ end: blocks, count: numRandomBlocks }];
}

/** Part by part and row by row, heads innermost: for the rows before a part from it, for its own rows from each part before, then from it. */
function plannedTable(random: NumpyRandom, { numHeads, numRandomBlocks, blockSize, length }: RandomBlocksOptions): BlockTable {
  const blocks = Math.floor(length / blockSize);
  const parts = partsOf(blocks, numRandomBlocks);
  const table = Array.from({ length: numHeads }, () => Array.from({ length: blocks }, () => new Array<number>(numRandomBlocks).fill(0)));
  const fill = (first: number, end: number, part: number) => {
    const [from, place] = [part > 0 ? parts[part - 1]!.end : 0, parts.slice(0, part).reduce((sum, { count }) => sum + count, 0)];
    if (parts[part]!.count === 0) return;
    for (let row = first; row < end; row++)
      for (const head of table) for (const [i, block] of legal(random, row, from, parts[part]!).entries()) head[row]![place + i] = block;
  };
  for (const [part, { end }] of parts.entries()) {
    const start = part > 0 ? parts[part - 1]!.end : 1;
    if (part > 0) fill(1, start, part);
    for (let before = 0; before < part; before++) fill(start, end, before);
    fill(start, end, part);
  }
  return table.map((head) => head.slice(1, blocks - 1));
}

/** The first legal blocks of a permutation: none of the window, not the first block, not the last of the part; and the second and second last rows do not see each other's. */
function legal(random: NumpyRandom, row: number, from: number, { end, count }: Part): number[] {
  const range = Array.from({ length: end - from }, (_, i) => from + i);
  const illegal = new Set([row - 1, row, row + 1, 0, end - 1]);
  if (row === 1) illegal.add(end - 2);
  if (row === end - 2) illegal.add(1);
  return enough(
    row,
    random.permutation(range).filter((block) => !illegal.has(block)),
    count,
  );
}

/** The first `count` of the candidates of a row. */
function enough(row: number, candidates: readonly number[], count: number): number[] {
  if (candidates.length < count)
    throw new TensorError(
      `BigBirdAttention: block ${row} has ${candidates.length} candidates for ${count} random blocks. Give fewer numRandomBlocks or a smaller blockSize; shorter sequences than denseUpTo are dense.`,
    );
  return candidates.slice(0, count);
}

/** Random blocks of a sequence of whose blocks none is global: any outside the window, for every row, [heads][blocks][random blocks]. No published code has this variant. */
export function etcBlocks({
  seed,
  numHeads,
  numRandomBlocks,
  blocks,
}: Pick<RandomBlocksOptions, "seed" | "numHeads" | "numRandomBlocks"> & { readonly blocks: number }): BlockTable {
  const random = new NumpyRandom(seed);
  const all = Array.from({ length: blocks }, (_, i) => i);
  return Array.from({ length: numHeads }, () =>
    all.map((row) => random.permutation(all.filter((block) => Math.abs(block - row) > 1)).slice(0, numRandomBlocks)),
  );
}
