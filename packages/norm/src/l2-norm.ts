import { expectCounts, expectPositive, Module, parameter } from "@x/nn";
import { type Parameter, statisticsOf, type Tensor } from "@x/tensor";

export interface L2NormOptions {
  /** Heads whose norms have a trained factor each; none without. */
  readonly numHeads?: number | undefined;
  /** What the factors begin as. */
  readonly scale?: number;
  readonly eps?: number;
}

/**
 * x / |x| over the last axis: cosine attention, where it norms queries and keys. With `numHeads`, x [batch, numHeads, length, headDim] is multiplied by a trained positive factor of its head, the
 * temperature, stored as its logarithm. Henry et al. 2020, arXiv 2010.04245; Liu et al. 2022, arXiv 2111.09883.
 */
export class L2Norm extends Module {
  readonly logScale: Parameter | undefined;
  readonly eps: number;

  constructor({ numHeads, scale = 1, eps = 1e-12 }: L2NormOptions = {}) {
    super();
    expectPositive("L2Norm", { scale, eps });
    if (numHeads !== undefined) expectCounts("L2Norm", { numHeads });
    this.eps = eps;
    this.logScale =
      numHeads === undefined ? undefined : parameter([numHeads, 1, 1], ([heads]) => Array<number>(heads!).fill(Math.log(scale)));
  }

  forward(x: Tensor): Tensor {
    const wide = x.cast(statisticsOf(x.dtype));
    const y = wide.mul(wide.square().sum(-1, { keepDims: true }).maximum(this.eps).rsqrt());
    // Swin's bound on the temperature.
    const scale = this.logScale?.value.minimum(Math.log(100)).exp();
    return (scale ? y.mul(scale) : y).cast(x.dtype);
  }
}
