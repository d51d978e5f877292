import { Module, onesInit, parameter } from "@x/nn";
import { addRmsNorm, rmsNorm } from "@x/ops";
import type { Parameter, Tensor } from "@x/tensor";

/** x / sqrt(mean(x^2) + eps) * weight over the last axis. [..., dim] -> [..., dim] */
export class RMSNorm extends Module {
  readonly weight: Parameter;
  readonly eps: number;

  constructor({ dim, eps = 1e-6 }: { dim: number; eps?: number }) {
    super();
    this.eps = eps;
    this.weight = parameter([dim], onesInit);
  }

  forward(x: Tensor): Tensor {
    return rmsNorm({ x, weight: this.weight }, { eps: this.eps });
  }

  /** The sum of a branch and the residual stream, and its norm, in one pass. */
  addNorm(x: Tensor, residual: Tensor): { readonly y: Tensor; readonly sum: Tensor } {
    return addRmsNorm({ x, residual, weight: this.weight }, { eps: this.eps });
  }
}
