import { expectCounts, expectPositive, Module, onesInit, parameter, zerosInit } from "@x/nn";
import { addLayerNorm, layerNorm } from "@x/ops";
import type { Parameter, Tensor } from "@x/tensor";

/** (x - mean) / sqrt(var + eps) * weight + bias over the last axis, with the biased variance. [..., dim] -> [..., dim]. Ba et al. 2016, arXiv 1607.06450. */
export class LayerNorm extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  readonly eps: number;

  constructor({ dim, eps = 1e-5, bias = true }: { dim: number; eps?: number; bias?: boolean }) {
    super();
    expectCounts("LayerNorm", { dim });
    expectPositive("LayerNorm", { eps });
    this.eps = eps;
    this.weight = parameter([dim], onesInit);
    this.bias = bias ? parameter([dim], zerosInit) : undefined;
  }

  forward(x: Tensor): Tensor {
    return layerNorm({ x, weight: this.weight, bias: this.bias }, { eps: this.eps });
  }

  /** sum = x + residual and y = its norm, in one pass over memory: a branch joins the stream, and the next branch's input is there. */
  addNorm(x: Tensor, residual: Tensor): { readonly y: Tensor; readonly sum: Tensor } {
    return addLayerNorm({ x, residual, weight: this.weight, bias: this.bias }, { eps: this.eps });
  }
}
