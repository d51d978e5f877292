import { type Activation, linear } from "@x/ops";
import type { Parameter, Tensor } from "@x/tensor";
import { fanInUniform, type Init, parameter, uniform } from "./init.ts";
import { Module } from "./module.ts";

export interface LinearOptions {
  readonly inputDim: number;
  readonly outputDim: number;
  readonly bias?: boolean;
  readonly init?: Init;
  readonly biasInit?: Init;
}

/** x W^T + b. [..., inputDim] -> [..., outputDim], with weight [outputDim, inputDim] as PyTorch keeps it. */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;

  constructor({
    inputDim,
    outputDim,
    bias = true,
    init = fanInUniform,
    biasInit = uniform(-1 / Math.sqrt(inputDim), 1 / Math.sqrt(inputDim)),
  }: LinearOptions) {
    super();
    this.weight = parameter([outputDim, inputDim], init);
    this.bias = bias ? parameter([outputDim], biasInit) : undefined;
  }

  /** With an activation on the result, or a residual [..., outputDim] added after it, in the same launch. */
  forward(x: Tensor, { activation = "none", residual }: { activation?: Activation; residual?: Tensor } = {}): Tensor {
    return linear({ x, weight: this.weight, bias: this.bias, residual }, { activation });
  }
}
