export { type AttendOptions, type AttentionOptions, CrossAttention, type HeadNorm, type Rotation, SelfAttention } from "./attention.ts";
export { KvCache, type KvCacheOptions, type LayerCache } from "./kv-cache.ts";
