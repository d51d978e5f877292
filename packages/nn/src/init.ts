import { currentGenerator, type Device, type DType, type Generator, Parameter, type Shape, sizeOf, withDevice } from "@x/tensor";

/** First values of a parameter: host numbers from its shape, drawn from the generator where random. */
export type Init = (shape: Shape, generator: Generator) => ArrayLike<number>;

export const constant =
  (value: number): Init =>
  (shape) =>
    new Float64Array(sizeOf(shape)).fill(value);
export const zerosInit: Init = constant(0);
export const onesInit: Init = constant(1);

export const normal =
  (deviation: number, mean = 0): Init =>
  (shape, generator) =>
    generator.hostNormal(sizeOf(shape)).map((value) => mean + deviation * value);

export const uniform =
  (low: number, high: number): Init =>
  (shape, generator) =>
    generator.hostUniform(sizeOf(shape)).map((value) => low + (high - low) * value);

/** How many inputs feed one output of a weight [outputs, inputs, ...]. */
const fanIn = (shape: Shape): number => sizeOf(shape.slice(1));

/** PyTorch's default for linear and convolution weights: uniform on +-1 / sqrt(fan in). */
export const fanInUniform: Init = (shape, generator) =>
  uniform(-1 / Math.sqrt(fanIn(shape)), 1 / Math.sqrt(fanIn(shape)))(shape, generator);

/** Glorot and Bengio 2010: uniform with deviation sqrt(2 / (fan in + fan out)) times `gain`. */
export const xavierUniform =
  (gain = 1): Init =>
  (shape, generator) => {
    const bound = gain * Math.sqrt(6 / (fanIn(shape) + sizeOf([shape[0]!, ...shape.slice(2)])));
    return uniform(-bound, bound)(shape, generator);
  };

export interface ParameterOptions {
  readonly dtype?: DType | undefined;
  readonly device?: Device | undefined;
}

/** A trainable cell with its first values, the same on every device. Draws come from the current generator (withGenerator), else the device's own. */
export function parameter(shape: Shape, init: Init, { dtype = "f32", device }: ParameterOptions = {}): Parameter {
  const generator = device ? withDevice(device, () => currentGenerator("parameter")) : currentGenerator("parameter");
  return new Parameter({ shape, dtype, device: device ?? generator.key.device, data: init(shape, generator) });
}
