import { type HostArray, Parameter, reference, setDefaultDevice, type Tensor, tensor } from "@x/tensor";
import { Stream } from "@x/testing";
import type { Optimizer } from "../src/index.ts";

export const device = reference();
setDefaultDevice(device);

const stream = new Stream("optim");
/** Normal numbers, the same in every run. */
export const values = (size: number): Float32Array => Float32Array.from(stream.normal(size));
export const parameterOf = (shape: readonly number[]): Parameter =>
  new Parameter({ shape, data: values(shape.reduce((a, b) => a * b, 1)) });
export const random = (shape: readonly number[]): Tensor => tensor(values(shape.reduce((a, b) => a * b, 1)), { shape });

/** A small model's worth of parameters: matrices both ways, a bias, a scalar. */
export const someParameters = (): Map<string, Parameter> =>
  new Map([
    ["up.weight", parameterOf([6, 4])],
    ["up.bias", parameterOf([6])],
    ["down.weight", parameterOf([4, 6])],
    ["scale", parameterOf([])],
  ]);

/** Everything an optimizer changes, by name. */
export async function contents(optimizer: Optimizer): Promise<Record<string, HostArray>> {
  const cells = [...optimizer.parameters.map((cell, i) => [`p${i}`, cell] as const), ...optimizer.states()];
  return Object.fromEntries(await Promise.all(cells.map(async ([name, cell]) => [name, await cell.data()] as const)));
}

/** A gradient for each of its parameters. */
export const gradientsLike = ({ parameters }: Optimizer): Tensor[] => parameters.map(({ shape }) => random(shape));
