export {
  and,
  bidirectionalWithin,
  blockMap,
  blocks,
  causal,
  dilated,
  global,
  keyPadding,
  or,
  type Pattern,
  prefix,
  segments,
  window,
} from "@x/ops";
export {
  type AttendOptions,
  type AttentionOptions,
  CrossAttention,
  type DistanceBias,
  type HeadNorm,
  type Rotation,
  SelfAttention,
} from "./attention.ts";
export { copyAsGrouped } from "./grouped.ts";
export { joinHeads, repeatHeads, splitHeads } from "./heads.ts";
export { KvCache, type KvCacheOptions, type LayerCache } from "./kv-cache.ts";
export { type DistanceVectors, type RelativeScoresOptions, relativeScores } from "./relative-scores.ts";
export { ShawAttention, type ShawOptions } from "./shaw.ts";
export { nextMemory, TransformerXLAttention, type TransformerXLOptions } from "./transformer-xl.ts";
