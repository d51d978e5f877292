export { BigBirdAttention, type BigBirdCall } from "./big-bird.ts";
export type { BigBirdOptions } from "./big-bird-options.ts";
export { copyAsLongformer, type DenseAttention } from "./copy.ts";
export { LongformerAttention, type LongformerCall } from "./longformer.ts";
export type { LongformerOptions } from "./longformer-options.ts";
export { bigBirdNames, longformerNames } from "./names.ts";
export { mergeMasks, type PaddedRows, padToWindow, type TokenRows } from "./padding.ts";
export { neighbourBlocks, slidingWindow } from "./patterns.ts";
export { type BlockTable, bigBirdBlocks, type RandomBlocksOptions } from "./random-blocks.ts";
