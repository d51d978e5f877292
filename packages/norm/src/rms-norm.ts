import { expectCounts, expectPositive, Module, onesInit, parameter, zerosInit } from "@x/nn";
import { addRmsNorm, rmsNorm } from "@x/ops";
import { type DType, type Parameter, statisticsOf, type Tensor } from "@x/tensor";

export interface RMSNormOptions {
  readonly dim: number;
  readonly eps?: number;
  /** Added to the weight, which then begins at 0 instead of 1: 1 in Gemma, whose files hold weights around 0. */
  readonly weightOffset?: 0 | 1;
  /** Whether half-precision results are rounded before the weight multiplies, as in Llama and T5, or after, as in Gemma. */
  readonly castBeforeWeight?: boolean;
}

/** x / sqrt(mean(x^2) + eps) * weight over the last axis. [..., dim] -> [..., dim]. Zhang and Sennrich 2019, arXiv 1910.07467. */
export class RMSNorm extends Module {
  readonly weight: Parameter;
  readonly eps: number;
  readonly weightOffset: 0 | 1;
  readonly castBeforeWeight: boolean;

  constructor({ dim, eps = 1e-6, weightOffset = 0, castBeforeWeight = true }: RMSNormOptions) {
    super();
    expectCounts("RMSNorm", { dim });
    expectPositive("RMSNorm", { eps });
    this.eps = eps;
    this.weightOffset = weightOffset;
    this.castBeforeWeight = castBeforeWeight;
    this.weight = parameter([dim], weightOffset === 0 ? onesInit : zerosInit);
  }

  forward(x: Tensor): Tensor {
    return rmsNorm({ x: x.cast(this.#dtypeFor(x)), weight: this.#factorFor(x) }, { eps: this.eps }).cast(x.dtype);
  }

  /** sum = x + residual and y = its norm, in one pass over memory: a branch joins the stream, and the next branch's input is there. */
  addNorm(x: Tensor, residual: Tensor): { readonly y: Tensor; readonly sum: Tensor } {
    if (this.#dtypeFor(x) === x.dtype) return addRmsNorm({ x, residual, weight: this.#factorFor(x) }, { eps: this.eps });
    const sum = x.add(residual);
    return { sum, y: this.forward(sum) };
  }

  /** What the norm is computed as: f32 where its result is rounded after the weight. */
  #dtypeFor(x: Tensor): DType {
    return this.castBeforeWeight ? x.dtype : statisticsOf(x.dtype);
  }

  #factorFor(x: Tensor): Tensor | Parameter {
    if (this.weightOffset === 0 && this.castBeforeWeight) return this.weight;
    return this.weight.value.cast(this.#dtypeFor(x)).add(this.weightOffset);
  }
}
