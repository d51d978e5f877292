import {
  compile,
  type Device,
  type DType,
  everyOutput,
  type HostTensor,
  isFloat,
  type OpSample,
  type Sample,
  type Shape,
  scope,
  Tensor,
  vjp,
  withDevice,
} from "@x/tensor";
import { type DrawnInputs, type Handover, hostInputs, isList, placeInputs } from "./inputs.ts";

/** A result on the host. */
export interface Read {
  /** "y", "parts[1]", "gradient of weight". */
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly data: ArrayLike<number>;
}
type Named = readonly (readonly [string, Tensor])[];
type Inputs = Readonly<Record<string, unknown>>;

/** The visible outputs of a sample, by name. */
function call(sample: Sample, inputs: Inputs): Named {
  if (!sample.op) return [["y", sample.build(inputs as Record<string, Tensor>)]];
  const { contract } = sample.op;
  const result = (sample.op as unknown as (inputs: Inputs, attrs: unknown) => unknown)(inputs, sample.attrs ?? {});
  const names = Object.keys(contract.outputs).filter((name) => contract.outputs[name]!.output !== "aux");
  return flatten(names.length === 1 ? { [names[0]!]: result } : (result as Inputs));
}

function flatten(record: Inputs): Named {
  return Object.entries(record).flatMap(([name, item]) =>
    Array.isArray(item) ? item.map((tensor, i): [string, Tensor] => [`${name}[${i}]`, tensor]) : [[name, item as Tensor] as const],
  );
}

export async function read(named: Named): Promise<Read[]> {
  const results = await Promise.all(
    named.map(async ([name, tensor]) => ({ name, shape: tensor.shape, dtype: tensor.dtype, data: await tensor.data() })),
  );
  for (const [, tensor] of named) tensor.dispose();
  return results;
}

/** What the sample gives on a device. */
export const values = (device: Device, sample: Sample, inputs: DrawnInputs, handover: Handover): Promise<Read[]> =>
  read(withDevice(device, () => scope(() => call(sample, placeInputs(inputs, device, handover)))));

/** All outputs, auxiliary ones too. */
export const allValues = (device: Device, sample: OpSample, inputs: DrawnInputs, handover: Handover): Promise<Read[]> =>
  read(withDevice(device, () => scope(() => flatten(everyOutput(sample.op, placeInputs(inputs, device, handover), sample.attrs)))));

/** What a compiled step gives: its inputs die there, so kernels may write over them where the contract allows it. */
export async function compiledValues(device: Device, sample: Sample, inputs: DrawnInputs): Promise<Read[]> {
  const copied = (drawn: unknown, input: unknown) => {
    if (isList(input)) return (input as readonly Tensor[]).map((x) => x.copy());
    return typeof drawn === "number" ? input : (input as Tensor).copy();
  };
  const body = (given: Inputs): Record<string, Tensor> => {
    const mine = Object.entries(given).map(([name, input]) => [name, copied(inputs[name], input)]);
    return Object.fromEntries(call(sample, Object.fromEntries(mine)));
  };
  const step = compile<Record<string, Tensor>, Record<string, Tensor>>(body, { device, name: sample.name });
  try {
    return await read(Object.entries(step(hostInputs(inputs) as Record<string, HostTensor>)));
  } finally {
    step.release();
  }
}

/** Gradients of sum(outputs * cotangents) with respect to floating point inputs, for cotangents by output name. */
export function gradients(
  device: Device,
  sample: Sample,
  inputs: DrawnInputs,
  handover: Handover,
  cotangents: ReadonlyMap<string, ArrayLike<number>>,
): Promise<Read[]> {
  const named = withDevice(device, () =>
    scope(() => {
      const placed = placeInputs(inputs, device, handover);
      const wrt = Object.fromEntries(
        flatten(placed).filter(([name, input]) => Tensor.isTensor(input) && isFloat(input.dtype) && wanted(sample, name)),
      );
      let names: string[] = [];
      const body = () => {
        const outputs = call(sample, placed);
        names = outputs.map(([name]) => name);
        return outputs.map(([, tensor]) => tensor);
      };
      // Cotangents need the outputs' dtypes, so the body runs once to ask.
      const seeds = scope(() => body().map(({ shape, dtype }, i) => seed(cotangents.get(names[i]!), shape, dtype, device)));
      return Object.entries(vjp(body, wrt, seeds).gradients).map(([name, tensor]) => [`gradient of ${name}`, tensor as Tensor] as const);
    }),
  );
  return read(named);
}

function seed(data: ArrayLike<number> | undefined, shape: Shape, dtype: DType, device: Device): Tensor | undefined {
  return (
    data &&
    (placeInputs({ seed: { shape, dtype, data: Float64Array.from(data), layout: "contiguous" } }, device, "contiguous").seed as
      | Tensor
      | undefined)
  );
}

const wanted = (sample: Sample, name: string): boolean => sample.gradients?.includes(name.replace(/\[\d+\]$/, "")) ?? true;

/** Whether a sample has gradients to compare. */
export function hasGradients(sample: Sample): boolean {
  const { op } = sample;
  return sample.gradients?.length !== 0 && (!op || op.contract.grad !== undefined || op.contract.reference !== undefined);
}

/** Runs on the reference in f64, or in the sample's own dtypes where the operation takes no f64. */
export async function preferDouble<R>(fn: (handover: Handover) => Promise<R>): Promise<R> {
  try {
    return await fn("f64");
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "DTypeError") throw error;
    return fn("contiguous");
  }
}
