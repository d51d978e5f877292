export { LearnedPositions } from "./learned.ts";
export { ropeFrequencies, type RopeFrequencies, type RopeScaling } from "./rope-frequencies.ts";
export { RotaryPositions, type RotaryOptions } from "./rotary.ts";
export { SinusoidalPositions, type SinusoidalOptions } from "./sinusoidal.ts";
