import { Module, onesInit, parameter, zerosInit } from "@x/nn";
import { addLayerNorm, layerNorm } from "@x/ops";
import type { Parameter, Tensor } from "@x/tensor";

/** (x - mean) / sqrt(var + eps) * weight + bias over the last axis. [..., dim] -> [..., dim] */
export class LayerNorm extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  readonly eps: number;

  constructor({ dim, eps = 1e-5, bias = true }: { dim: number; eps?: number; bias?: boolean }) {
    super();
    this.eps = eps;
    this.weight = parameter([dim], onesInit);
    this.bias = bias ? parameter([dim], zerosInit) : undefined;
  }

  forward(x: Tensor): Tensor {
    return layerNorm({ x, weight: this.weight, bias: this.bias }, { eps: this.eps });
  }

  /** The sum of a branch and the residual stream, and its norm, in one pass. */
  addNorm(x: Tensor, residual: Tensor): { readonly y: Tensor; readonly sum: Tensor } {
    return addLayerNorm({ x, residual, weight: this.weight, bias: this.bias }, { eps: this.eps });
  }
}
