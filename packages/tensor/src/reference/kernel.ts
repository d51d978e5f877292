import { decode, encode } from "../dtype.ts";
import { type Kernel, type LayoutSpec, type PlanRequest, tensorInterface } from "../kernel.ts";
import { outputMemory } from "../launch.ts";
import type { AttrDefaults, Attrs, Contract, Inputs, Op, Outputs, Spec } from "../op.ts";
import { contiguousStrides, sizeOf } from "../shape.ts";
import type { ReferenceLaunch } from "./driver.ts";

/** A tensor as its elements in row-major order. */
export interface Dense extends Spec {
  readonly data: ArrayLike<number>;
}
type DenseInputs = Readonly<Record<string, Dense & readonly Dense[]>>;
type DenseOutputs = Readonly<Record<string, ArrayLike<number>>>;

/** A kernel in plain code: from the elements of the inputs to those of the outputs, all as numbers; stores round to the dtype. */
export function referenceKernel<I extends Inputs, A extends AttrDefaults, O extends Outputs>(
  op: Op<I, A, O>,
  compute: (inputs: DenseInputs, attrs: Attrs<A>, outputs: Readonly<Record<string, Spec>>) => DenseOutputs,
): Kernel {
  return {
    name: `reference ${op.contract.name}`,
    contract: op.contract,
    driver: "reference",
    interface: tensorInterface,
    layout: Object.fromEntries(Object.keys(op.contract.inputs).map((name) => [name, "strided"])),
    plan: (request) => ({
      launches: [{ run: (memory) => execute(op.contract, request, memory, compute as never) } satisfies ReferenceLaunch],
    }),
  };
}

function execute(
  contract: Contract,
  { specs, outputs, attrs }: PlanRequest,
  memory: Readonly<Record<string, Uint8Array>>,
  compute: (inputs: Record<string, unknown>, attrs: unknown, outputs: PlanRequest["outputs"]) => DenseOutputs,
): void {
  const inputs = Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => [
      name,
      Array.isArray(spec) ? spec.map((one, i) => dense(one, memory[`${name}.${i}`]!)) : spec && dense(spec as LayoutSpec, memory[name]!),
    ]),
  );
  for (const [name, data] of Object.entries(compute(inputs, attrs, outputs)))
    memory[outputMemory(contract, name)]!.set(encode(data, (outputs[name] as Spec).dtype));
}

/** The elements that a layout names, in row-major order. */
function dense({ shape, dtype, strides, offset }: LayoutSpec, bytes: Uint8Array): Dense {
  const stored = decode(bytes, dtype);
  const data = new Float64Array(sizeOf(shape));
  forEachIndex(shape, (index, position) => {
    let at = offset;
    for (let axis = 0; axis < shape.length; axis++) at += index[axis]! * strides[axis]!;
    data[position] = stored[at]!;
  });
  return { shape, dtype, data };
}

/** Visits every index of a shape in row-major order. The array is reused. */
export function forEachIndex(shape: readonly number[], visit: (index: readonly number[], position: number) => void): void {
  const index = new Array<number>(shape.length).fill(0);
  const size = sizeOf(shape);
  for (let position = 0; position < size; position++) {
    visit(index, position);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
}

/** The position of an index in a dense tensor. */
export function positionOf(shape: readonly number[], index: readonly number[]): number {
  const strides = contiguousStrides(shape);
  return index.reduce((sum, i, axis) => sum + i * strides[axis]!, 0);
}
