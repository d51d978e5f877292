import { FavorFeatures, type FavorOptions } from "./favor.ts";
import { LinearAttention, type LinearAttentionOptions } from "./linear-attention.ts";

export interface PerformerOptions extends Omit<LinearAttentionOptions, "features">, Omit<FavorOptions, "headDim"> {}

/** Attention with FAVOR+, an estimate of softmax attention by random features: `FavorFeatures` within `LinearAttention`. Choromanski et al. 2020, arXiv 2009.14794. */
export class PerformerAttention extends LinearAttention {
  constructor(options: PerformerOptions) {
    super({ ...options, features: (headDim) => new FavorFeatures({ ...options, headDim }) });
  }
}

/** What published code sets otherwise, to spread into the options: `new PerformerAttention({ ...performerPresets.lucidrains, dim, numHeads })`. */
export const performerPresets = {
  /** performer-pytorch. `keySumEps` acts in causal attention alone, as there. */
  lucidrains: { eps: 1e-4, haar: false, stabilizer: "global", maskMode: "values-only", keySumEps: 1e-6, bias: false, outputBias: true },
  /** google-research's fast_attention. */
  google: { eps: 1e-6, numFeatures: 256, haar: false, stabilizer: "global", bias: false, redrawEvery: 0 },
} as const satisfies Record<string, Partial<PerformerOptions>>;
