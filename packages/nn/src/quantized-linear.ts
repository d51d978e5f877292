import { type Activation, activations, dequantize, type Quantization, quantize, quantizedLinear, quantizedShapes } from "@x/ops";
import { type Parameter, State, type Tensor, withDevice } from "@x/tensor";
import { expectChoice, expectCounts } from "./expect.ts";
import { parameter, zerosInit } from "./init.ts";
import type { Linear } from "./linear.ts";
import { Module } from "./module.ts";

/** How a weight is kept: codes of 8 or 4 bits in groups along the inputs, and what type the groups' steps have ("f32" if absent). */
export interface WeightQuantization extends Quantization {
  readonly scales?: "f16" | "f32";
}

export interface QuantizedLinearOptions extends WeightQuantization {
  readonly inputDim: number;
  readonly outputDim: number;
  /** Whether there is one, zeros at first; or the parameter itself. */
  readonly bias?: boolean | Parameter | undefined;
}

/**
 * A `Linear` whose weight is kept in 8 or 4 bits and is left alone by training; its bias is trained. [..., inputDim] -> [..., outputDim], with weight, scales and zeros as `quantizedLinear` of @x/ops takes them, the names under which a
 * checkpoint keeps them. A new one is zero: take it `from` a layer, or load a state dict.
 */
export class QuantizedLinear extends Module {
  readonly weight: State;
  readonly scales: State;
  readonly zeros: State;
  readonly bias: Parameter | undefined;
  readonly inputDim: number;
  readonly outputDim: number;
  readonly #how: Quantization;

  constructor({ inputDim, outputDim, bias = true, scales: dtype = "f32", bits, group }: QuantizedLinearOptions) {
    super();
    expectCounts("QuantizedLinear", { inputDim, outputDim });
    expectChoice("QuantizedLinear", "scales", dtype, ["f16", "f32"]);
    this.#how = { bits, group };
    const { weight, scales, zeros } = quantizedShapes({ outputs: outputDim, inputs: inputDim }, this.#how, "QuantizedLinear");
    this.weight = new State({ shape: weight, dtype: "u8" });
    this.scales = new State({ shape: scales, dtype });
    this.zeros = new State({ shape: zeros, dtype: "u8" });
    this.bias = bias === true ? parameter([outputDim], zerosInit) : bias || undefined;
    [this.inputDim, this.outputDim] = [inputDim, outputDim];
  }

  /** The nearest weight to that of a layer, whose bias it shares. */
  static async from({ weight, bias, inputDim, outputDim }: Linear, how: WeightQuantization): Promise<QuantizedLinear> {
    const coded = quantize(await weight.data(), { outputs: outputDim, inputs: inputDim }, how);
    const made = withDevice(weight.device, () => new QuantizedLinear({ inputDim, outputDim, bias: bias ?? false, ...how }));
    for (const name of ["weight", "scales", "zeros"] as const) made[name].write(coded[name]);
    return made;
  }

  /** The weight in numbers, [outputDim, inputDim] row-major. */
  async numbers(): Promise<Float32Array> {
    const [weight, scales, zeros] = await Promise.all([this.weight.data(), this.scales.data(), this.zeros.data()]);
    const coded = { weight: weight as Uint8Array, scales: scales as Float32Array, zeros: zeros as Uint8Array };
    return dequantize(coded, { outputs: this.outputDim, inputs: this.inputDim }, this.#how);
  }

  /** With an activation on the result, or a residual [..., outputDim] added after it: one launch more. */
  forward(x: Tensor, { activation = "none", residual }: { activation?: Activation; residual?: Tensor | undefined } = {}): Tensor {
    const { weight, scales, zeros, bias } = this;
    const y = activations[activation](quantizedLinear({ x, weight, scales, zeros, bias }, this.#how));
    return residual ? y.add(residual) : y;
  }
}
