import { expectCounts } from "@x/nn";

export interface DeepNormConstants {
  /** On the stream: DeepNorm's `alpha`. */
  readonly alpha: number;
  /** The gain of Xavier's initialisation for the weights of values, attention outputs and feed-forwards; queries and keys keep a gain of 1. */
  readonly beta: number;
}

/**
 * DeepNorm's constants for a stack of layers, each of two sublayers: of one kind alone, or an encoder's and a decoder's where both are given. Wang et al. 2022, arXiv 2203.00555, figure 2.
 */
export function deepNormConstants(layers: { readonly encoder?: number; readonly decoder?: number }): {
  readonly encoder: DeepNormConstants | undefined;
  readonly decoder: DeepNormConstants | undefined;
} {
  const { encoder: n, decoder: m } = layers;
  expectCounts("deepNormConstants", { ...(n !== undefined && { encoder: n }), ...(m !== undefined && { decoder: m }) });
  const alone = (count: number) => ({ alpha: (2 * count) ** 0.25, beta: (8 * count) ** -0.25 });
  if (n === undefined || m === undefined) return { encoder: n === undefined ? n : alone(n), decoder: m === undefined ? m : alone(m) };
  const both = (n ** 4 * m) ** (1 / 16);
  return {
    encoder: { alpha: 0.81 * both, beta: 0.87 / both },
    decoder: { alpha: (3 * m) ** 0.25, beta: (12 * m) ** -0.25 },
  };
}
