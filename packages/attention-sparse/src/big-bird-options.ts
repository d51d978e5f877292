import { expectCounts, type Init } from "@x/nn";
import { ShapeError, TensorError } from "@x/tensor";
import type { BlockTable } from "./random-blocks.ts";

export interface BigBirdOptions {
  readonly dim: number;
  readonly numHeads: number;
  readonly headDim?: number;
  /** The layer's index in its model, which is the seed of its random blocks. */
  readonly layer: number;
  readonly blockSize?: number;
  /** Random blocks of each block of queries. */
  readonly numRandomBlocks?: number;
  /**
   * "auto" is what Hugging Face does: "seeded" while training, "zeros" else, where block 0 counts once more for each random block; with numGlobalTokens always "seeded". "seeded" is Google's code. "none" leaves them
   * out. Or a table: [heads, or 1 for all][blocks - 2][any number]; with numGlobalTokens a row for each block.
   */
  readonly randomBlocks?: "auto" | "seeded" | "zeros" | "none" | BlockTable;
  /** Extra tokens before the sequence that see everything and are seen by all, the paper's ETC; then no block is global. None if absent: the first and the last block are global, ITC. */
  readonly numGlobalTokens?: number;
  /** The longest sequence of the model: random blocks of the paper's lengths depend on it. */
  readonly maxLength?: number;
  /** Which lengths have the paper's random blocks: "hf" 1024, 3072 and 4096; "google" 2048 too, and a maxLength of 4096. */
  readonly lengthList?: "hf" | "google";
  /** Sequences up to this length are dense; (5 + 2 numRandomBlocks) blockSize if absent. */
  readonly denseUpTo?: number;
  /** Factor on the scores; 1 / sqrt(headDim) if absent. */
  readonly scale?: number;
  readonly bias?: boolean;
  readonly outputBias?: boolean;
  /** Probability that a weight is zeroed while training. */
  readonly dropout?: number;
  readonly init?: Init;
  readonly outputInit?: Init;
}

const modes = ["auto", "seeded", "zeros", "none"];

export function checkBigBird(who: string, options: BigBirdOptions): void {
  const { dim, numHeads, headDim, layer, blockSize = 64, maxLength = 4096, randomBlocks = "auto" } = options;
  expectCounts(who, { dim, numHeads, blockSize, maxLength, ...(headDim !== undefined && { headDim }) });
  for (const name of ["layer", "numRandomBlocks", "numGlobalTokens", "denseUpTo"] as const) {
    const value = name === "layer" ? layer : (options[name] ?? 0);
    if (!(Number.isInteger(value) && value >= 0 && value < 2 ** 32))
      throw new TensorError(`${who}: ${name} must be a whole number from 0 on, got ${value}.`);
  }
  if (typeof randomBlocks === "string") {
    if (!modes.includes(randomBlocks))
      throw new TensorError(`${who}: randomBlocks must be one of ${modes.join(", ")}, or a table of blocks, got "${randomBlocks}".`);
  } else if (randomBlocks.length !== 1 && randomBlocks.length !== numHeads)
    throw new ShapeError(`${who}: randomBlocks must be [${numHeads}, or 1 for all heads][rows][blocks], got ${randomBlocks.length} heads.`);
}
