import { expectChoice, expectCounts, expectPositive } from "@x/nn";
import { TensorError } from "@x/tensor";

/** How rotary frequencies are stretched beyond the length they were trained for. */
export type RopeScaling =
  | { readonly type: "default" }
  /** All frequencies divided by the factor. Chen et al. 2023, arXiv 2306.15595. */
  | { readonly type: "linear"; readonly factor: number }
  /** A larger base, which stretches long wavelengths by the factor and hardly touches short ones: static NTK-aware scaling. */
  | { readonly type: "ntk"; readonly factor: number }
  /** A larger base once the length exceeds the original one, growing with it: dynamic NTK-aware scaling. */
  | { readonly type: "dynamic"; readonly factor: number; readonly originalMaxLength: number }
  /** Long wavelengths divided, short ones kept, a blend between. Llama 3.1. */
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFactor: number;
      readonly highFactor: number;
      readonly originalMaxLength: number;
    }
  /** A ramp over the dimensions, and a temperature on the attention. Peng et al. 2023, arXiv 2309.00071. */
  | {
      readonly type: "yarn";
      readonly factor: number;
      readonly originalMaxLength: number;
      readonly betaFast?: number;
      readonly betaSlow?: number;
      readonly attentionFactor?: number | undefined;
      readonly mscale?: number | undefined;
      readonly mscaleAllDim?: number | undefined;
      readonly truncate?: boolean;
    }
  /** Each pair's frequency divided by a number of its own, found by search: one list up to the original length, another beyond. Ding et al. 2024, arXiv 2402.13753; Phi-3. */
  | {
      readonly type: "longrope";
      readonly shortFactors: readonly number[];
      readonly longFactors: readonly number[];
      readonly originalMaxLength: number;
      /** The largest length over the original one, by which attention is sharpened: sqrt(1 + ln factor / ln originalMaxLength). */
      readonly factor: number;
      readonly attentionFactor?: number | undefined;
    };

export interface RopeFrequencies {
  /** Radians a position, for each pair. */
  readonly frequencies: Float64Array;
  /** What cos and sin are multiplied by. */
  readonly attentionFactor: number;
}

const plain = (dim: number, base: number): Float64Array => Float64Array.from({ length: dim / 2 }, (_, i) => base ** ((-2 * i) / dim));

/** A base that stretches the longest of `dim` dimensions' wavelengths by `factor`. */
const stretched = (dim: number, base: number, factor: number): number => base * factor ** (dim / (dim - 2));

/** The frequencies of `dim` rotated dimensions; `length`, positions in all, matters to dynamic scaling and LongRoPE. */
export function ropeFrequencies(dim: number, base: number, scaling: RopeScaling, length: number): RopeFrequencies {
  check(dim, base, scaling);
  switch (scaling.type) {
    case "default":
      return { frequencies: plain(dim, base), attentionFactor: 1 };
    case "linear":
      return { frequencies: plain(dim, base).map((f) => f / scaling.factor), attentionFactor: 1 };
    case "ntk":
      return { frequencies: plain(dim, stretched(dim, base, scaling.factor)), attentionFactor: 1 };
    case "dynamic": {
      const { factor, originalMaxLength } = scaling;
      const growth = (factor * Math.max(length, originalMaxLength)) / originalMaxLength - (factor - 1);
      return { frequencies: plain(dim, stretched(dim, base, growth)), attentionFactor: 1 };
    }
    case "llama3":
      return { frequencies: plain(dim, base).map((f) => llama3(f, scaling)), attentionFactor: 1 };
    case "yarn":
      return yarn(dim, base, scaling);
    case "longrope":
      return longrope(dim, base, scaling, length);
  }
}

const types: readonly RopeScaling["type"][] = ["default", "linear", "ntk", "dynamic", "llama3", "yarn", "longrope"];

function check(dim: number, base: number, scaling: RopeScaling): void {
  if (!Number.isSafeInteger(dim) || dim < 2 || dim % 2 !== 0)
    throw new TensorError(`rope: the rotated dimensions must be even in number and at least 2, got ${dim}.`);
  expectPositive("rope", { base });
  expectChoice("rope", "scaling.type", scaling.type, types);
  if (scaling.type === "default") return;
  const who = `rope scaling ${scaling.type}`;
  expectPositive(who, { factor: scaling.factor });
  if (scaling.type === "linear" || scaling.type === "ntk") return;
  expectCounts(who, { originalMaxLength: scaling.originalMaxLength });
  if (scaling.type === "llama3") {
    const { lowFactor, highFactor } = scaling;
    expectPositive(who, { lowFactor, highFactor });
    if (lowFactor >= highFactor) throw new TensorError(`${who}: lowFactor ${lowFactor} must be below highFactor ${highFactor}.`);
  }
  if (scaling.type === "yarn") {
    const { betaFast = 32, betaSlow = 1, attentionFactor = 1 } = scaling;
    expectPositive(who, { betaFast, betaSlow, attentionFactor });
    if (betaSlow >= betaFast) throw new TensorError(`${who}: betaSlow ${betaSlow} must be below betaFast ${betaFast}.`);
    if (base === 1) throw new TensorError(`${who}: base must not be 1.`);
  }
  if (scaling.type === "longrope") {
    expectPositive(who, { attentionFactor: scaling.attentionFactor ?? 1 });
    for (const name of ["shortFactors", "longFactors"] as const) {
      const factors = scaling[name];
      if (factors.length !== dim / 2)
        throw new TensorError(`${who}: ${name} must be ${dim / 2}, one for each pair, got ${factors.length}.`);
      for (const [i, factor] of factors.entries()) expectPositive(who, { [`${name}[${i}]`]: factor });
    }
  }
}

function llama3(frequency: number, { factor, lowFactor, highFactor, originalMaxLength }: Extract<RopeScaling, { type: "llama3" }>): number {
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < originalMaxLength / highFactor) return frequency;
  if (wavelength > originalMaxLength / lowFactor) return frequency / factor;
  const blend = (originalMaxLength / wavelength - lowFactor) / (highFactor - lowFactor);
  return ((1 - blend) * frequency) / factor + blend * frequency;
}

function yarn(dim: number, base: number, scaling: Extract<RopeScaling, { type: "yarn" }>): RopeFrequencies {
  const { factor, originalMaxLength, betaFast = 32, betaSlow = 1, truncate = true } = scaling;
  // The dimension that turns `rotations` times over the original length.
  const dimensionOf = (rotations: number) => (dim * Math.log(originalMaxLength / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const round = truncate ? { down: Math.floor, up: Math.ceil } : { down: (x: number) => x, up: (x: number) => x };
  const low = Math.max(round.down(dimensionOf(betaFast)), 0);
  const highest = Math.min(round.up(dimensionOf(betaSlow)), dim - 1);
  const high = low === highest ? highest + 0.001 : highest;
  const frequencies = plain(dim, base).map((f, i) => {
    const ramp = Math.min(1, Math.max(0, (i - low) / (high - low)));
    return (f / factor) * ramp + f * (1 - ramp);
  });
  return { frequencies, attentionFactor: yarnAttention(scaling) };
}

function yarnAttention({ factor, attentionFactor, mscale, mscaleAllDim }: Extract<RopeScaling, { type: "yarn" }>): number {
  const temperature = (scale: number) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  if (attentionFactor !== undefined) return attentionFactor;
  return mscale && mscaleAllDim ? temperature(mscale) / temperature(mscaleAllDim) : temperature(1);
}

function longrope(dim: number, base: number, scaling: Extract<RopeScaling, { type: "longrope" }>, length: number): RopeFrequencies {
  const { shortFactors, longFactors, originalMaxLength, factor } = scaling;
  const factors = length > originalMaxLength ? longFactors : shortFactors;
  // The same on both sides of the switch.
  const { attentionFactor = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxLength)) } = scaling;
  return { frequencies: plain(dim, base).map((f, i) => f / factors[i]!), attentionFactor };
}
