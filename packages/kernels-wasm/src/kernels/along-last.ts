import { contiguousStrides } from "@x/tensor";
import type { Place } from "../device/launch.ts";
import type { Planner } from "./planner.ts";
import { product } from "./work.ts";

/**
 * Runs a kernel of rows along an axis of four-byte elements: inputs are turned so that the axis comes last where it does not, and outputs turned
 * back. `run` gets the places by name, the number of rows, and their length.
 */
export function alongLast<I extends string, O extends string>(
  p: Planner,
  shape: readonly number[],
  axis: number,
  inputs: Readonly<Record<I, Place>>,
  outputs: Readonly<Record<O, Place>>,
  run: (at: Readonly<Record<I | O, Place>>, rows: number, n: number) => void,
): void {
  const n = shape[axis]!;
  const rows = product(shape.slice(0, axis)) * product(shape.slice(axis + 1));
  if (product(shape.slice(axis + 1)) === 1) {
    run({ ...inputs, ...outputs } as never, rows, n);
    return;
  }
  const order = [...shape.keys()].filter((i) => i !== axis).concat(axis);
  const turned = order.map((i) => shape[i]!);
  // Strides of the given layout in the turned order, and of the turned layout.
  const [given, own] = [order.map((i) => contiguousStrides(shape)[i]!), contiguousStrides(turned)];
  const moved = (record: Readonly<Record<string, Place>>) => Object.keys(record).map((name) => [name, p.scratch(4 * rows * n)] as const);
  const [from, to] = [moved(inputs), moved(outputs)];
  for (const [name, place] of from) p.copy(turned, 4, place, own, inputs[name as I], given);
  run(Object.fromEntries([...from, ...to]) as never, rows, n);
  for (const [name, place] of to) p.copy(turned, 4, outputs[name as O], given, place, own);
}
