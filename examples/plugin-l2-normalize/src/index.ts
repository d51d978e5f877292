export { CosineHead, type CosineHeadOptions } from "./cosine-head.ts";
export { l2Normalize } from "./l2-normalize.ts";
