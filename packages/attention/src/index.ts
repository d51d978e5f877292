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
export { AttentionCache, type CachedHeads } from "./attention-cache.ts";
export { copyAsGrouped } from "./grouped.ts";
export { KvCache, type KvCacheOptions } from "./kv-cache.ts";
export type { CachedKeys, CachedLook, LayerCache, NewHeads } from "./layer-cache.ts";
export { OrderedCache } from "./ordered-cache.ts";
export { PagePool, type PagePoolOptions } from "./page-pool.ts";
export { PagedKvCache, type PagedKvCacheOptions } from "./paged-kv-cache.ts";
export { QuantizedKvCache } from "./quantized-kv-cache.ts";
export { type DistanceVectors, type RelativeScoresOptions, relativeScores, scoresByDistance } from "./relative-scores.ts";
export { ShawAttention, type ShawOptions } from "./shaw.ts";
export { SlidingKvCache, type SlidingKvCacheOptions } from "./sliding-kv-cache.ts";
export { nextMemory, type SegmentOptions, TransformerXLAttention, type TransformerXLOptions } from "./transformer-xl.ts";
