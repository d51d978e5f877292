import { expectCounts, expectPositive, Module, onesInit, parameter } from "@x/nn";
import { addRmsNorm, rmsNorm } from "@x/ops";
import type { Parameter, Tensor } from "@x/tensor";

/** x / sqrt(mean(x^2) + eps) * weight over the last axis. [..., dim] -> [..., dim]. Zhang and Sennrich 2019, arXiv 1910.07467. */
export class RMSNorm extends Module {
  readonly weight: Parameter;
  readonly eps: number;

  constructor({ dim, eps = 1e-6 }: { dim: number; eps?: number }) {
    super();
    expectCounts("RMSNorm", { dim });
    expectPositive("RMSNorm", { eps });
    this.eps = eps;
    this.weight = parameter([dim], onesInit);
  }

  forward(x: Tensor): Tensor {
    return rmsNorm({ x, weight: this.weight }, { eps: this.eps });
  }

  /** sum = x + residual and y = its norm, in one pass over memory: a branch joins the stream, and the next branch's input is there. */
  addNorm(x: Tensor, residual: Tensor): { readonly y: Tensor; readonly sum: Tensor } {
    return addRmsNorm({ x, residual, weight: this.weight }, { eps: this.eps });
  }
}
