export { AlibiBias, type AlibiOptions, alibiSlopes } from "./alibi.ts";
export { type LearnedOptions, LearnedPositions } from "./learned.ts";
export { axialAxes, type MultiAxisOptions, MultiAxisRotary, type PairAxes, sectionedAxes } from "./multi-axis-rotary.ts";
export { type RopeFrequencies, type RopeScaling, ropeFrequencies } from "./rope-frequencies.ts";
export { type RotaryOptions, RotaryPositions } from "./rotary.ts";
export type { RotaryTables } from "./rotary-tables.ts";
export { type SinusoidalOptions, SinusoidalPositions } from "./sinusoidal.ts";
export { type T5Buckets, type T5Options, T5RelativeBias, t5Bucket } from "./t5-bias.ts";
export { type XPosOptions, XPosPositions } from "./xpos.ts";
