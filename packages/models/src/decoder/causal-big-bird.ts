import { and, blocks, causal, type Pattern } from "@x/ops";
import { Generator } from "@x/tensor";

export interface CausalBigBirdOptions {
  readonly blockSize: number;
  /** Of each block, among those that are not seen anyway. */
  readonly numRandomBlocks: number;
  /** Positions the table of blocks is made for. */
  readonly maxLength: number;
  /** Draws other blocks for another layer. */
  readonly layer: number;
}

/**
 * BigBird looking back: a block sees the first block, the one before it, itself, and random ones between, each once; the last block is global for nobody, because nobody may look at it. A row of the table does not depend on how
 * long the sequence is, so a longer one changes no earlier result. The paper has no causal form; its own is BigBirdAttention of `@x/attention-sparse`.
 */
export function causalBigBird({ blockSize, numRandomBlocks, maxLength, layer }: CausalBigBirdOptions): Pattern {
  const generator = new Generator({ seed: layer });
  const count = Math.ceil(maxLength / blockSize);
  const table = Array.from({ length: count }, (_, i) => {
    const between = Array.from({ length: Math.max(0, i - 2) }, (_, j) => j + 1);
    const order = generator.hostUniform(between.length);
    const random = between.sort((a, b) => order[a - 1]! - order[b - 1]!).slice(0, numRandomBlocks);
    return [...new Set([0, Math.max(0, i - 1), i, ...random])];
  });
  generator.key.dispose();
  return and(causal(), blocks(table, { size: blockSize }));
}
