import { type Activation, linear } from "@x/ops";
import type { Parameter, Tensor } from "@x/tensor";
import { expectCounts } from "./expect.ts";
import { fanInUniform, type Init, parameter, uniform } from "./init.ts";
import { Module } from "./module.ts";

export interface LinearOptions {
  readonly inputDim: number;
  readonly outputDim: number;
  readonly bias?: boolean;
  /** Uniform on +-1 / sqrt(inputDim) if absent, the bias likewise: PyTorch's default. */
  readonly init?: Init | undefined;
  readonly biasInit?: Init | undefined;
}

const brand = Symbol.for("@x/nn.linear");

/** x W^T + b. [..., inputDim] -> [..., outputDim], with weight [outputDim, inputDim] as PyTorch keeps it. */
export class Linear extends Module {
  readonly [brand] = true;
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;

  constructor({ inputDim, outputDim, bias = true, init = fanInUniform, biasInit }: LinearOptions) {
    super();
    expectCounts("Linear", { inputDim, outputDim });
    const bound = 1 / Math.sqrt(inputDim);
    this.weight = parameter([outputDim, inputDim], init);
    this.bias = bias ? parameter([outputDim], biasInit ?? uniform(-bound, bound)) : undefined;
  }

  static isLinear(value: unknown): value is Linear {
    return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[brand] === true;
  }

  get inputDim(): number {
    return this.weight.shape[1]!;
  }

  get outputDim(): number {
    return this.weight.shape[0]!;
  }

  /** With an activation on the result, or a residual [..., outputDim] added after it, in the same launch. */
  forward(x: Tensor, { activation = "none", residual }: { activation?: Activation; residual?: Tensor | undefined } = {}): Tensor {
    return linear({ x, weight: this.weight, bias: this.bias, residual }, { activation });
  }
}
