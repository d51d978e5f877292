export { transformerXLConfig, transformerXLNames } from "./checkpoint.ts";
export type { FullTransformerXLConfig, TransformerXLConfig } from "./config.ts";
export { SegmentMemory, type SegmentMemoryOptions } from "./segment-memory.ts";
export { TransformerXL, type TransformerXLOptions } from "./transformer-xl.ts";
