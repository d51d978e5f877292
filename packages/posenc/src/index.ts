export { type LearnedOptions, LearnedPositions } from "./learned.ts";
export { type RopeFrequencies, type RopeScaling, ropeFrequencies } from "./rope-frequencies.ts";
export { type RotaryOptions, RotaryPositions, type RotaryTables } from "./rotary.ts";
export { type SinusoidalOptions, SinusoidalPositions } from "./sinusoidal.ts";
