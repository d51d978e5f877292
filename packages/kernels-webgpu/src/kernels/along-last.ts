import { contiguousStrides, sizeOf } from "@x/tensor";
import { dense, type Place, type Planner, type Stored, type Strided, wideOf } from "./planner.ts";

/**
 * Runs a kernel of rows along an axis of contiguous tensors: inputs are turned so that the axis comes last where it does not, and outputs turned back. `run` gets the places by
 * name, the number of rows, and their length.
 */
export function alongLast<I extends string, O extends string>(
  p: Planner,
  shape: readonly number[],
  axis: number,
  inputs: Readonly<Record<I, Place>>,
  outputs: Readonly<Record<O, Place>>,
  run: (at: Readonly<Record<I | O, Place>>, rows: number, n: number) => void,
): void {
  if (sizeOf(shape) === 0) return;
  const n = shape[axis]!;
  const rows = sizeOf(shape) / n;
  if (sizeOf(shape.slice(axis + 1)) === 1) {
    run({ ...inputs, ...outputs } as never, rows, n);
    return;
  }
  const order = [...shape.keys()].filter((i) => i !== axis).concat(axis);
  const turned = order.map((i) => shape[i]!);
  const given = contiguousStrides(shape);
  const seen = (place: Place): Strided => ({ ...place, offset: 0, shape: turned, strides: order.map((i) => given[i]!) });
  const places: Record<string, Place> = {};
  for (const [name, place] of Object.entries<Place>(inputs)) places[name] = p.contiguous(seen(place));
  for (const [name, place] of Object.entries<Place>(outputs)) places[name] = p.scratch(rows * n, wideOf(place.dtype) as Stored);
  run(places as never, rows, n);
  const back = dense({ name: "", dtype: "f32" }, turned).strides;
  const restored = shape.map((_, i) => back[order.indexOf(i)]!);
  for (const [name, place] of Object.entries<Place>(outputs)) p.convert({ ...places[name]!, offset: 0, shape, strides: restored }, place);
}
