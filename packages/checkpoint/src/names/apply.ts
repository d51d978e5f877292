import type { HostArray } from "@x/tensor";
import { CheckpointError } from "../errors.ts";
import type { Move } from "./rename.ts";

type Shape = readonly number[];
export interface Values {
  readonly shape: Shape;
  readonly values: HostArray;
}

/** Shapes of ours from those of the published tensors; throws with what does not fit. */
export const shapesToOurs = (move: Move, shapes: readonly Shape[]): Shape[] =>
  (move.published.length > 1 ? [joinedShape(shapes, move.axis)] : splitShapes(shapes[0]!, move, move.ours.length)).map((shape) =>
    move.transposed ? turned(shape) : shape,
  );

/** Shapes of the published tensors from those of ours. */
export function shapesToPublished(move: Move, shapes: readonly Shape[]): Shape[] {
  const straight = move.transposed ? shapes.map(turned) : shapes;
  return move.ours.length > 1 ? [joinedShape(straight, move.axis)] : splitShapes(straight[0]!, move, move.published.length);
}

/** Ours number `which` from the published tensors. */
export function toOurs(move: Move, published: readonly Values[], which: number): Values {
  const one = move.published.length > 1 ? joined(published, move.axis) : part(published[0]!, move, move.ours.length, which);
  return move.transposed ? transposed(one) : one;
}

/** Published tensor number `which` from ours. */
export function toPublished(move: Move, ours: readonly Values[], which: number): Values {
  const straight = move.transposed ? ours.map(transposed) : ours;
  return move.ours.length > 1 ? joined(straight, move.axis) : part(straight[0]!, move, move.published.length, which);
}

function turned(shape: Shape): Shape {
  if (shape.length < 2) throw new CheckpointError(`transpose needs two axes or more, received shape [${shape}]`);
  return [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!];
}

function sizeAt(shape: Shape, axis: number): number {
  if (axis < 0 || axis >= shape.length) throw new CheckpointError(`axis ${axis} is none of shape [${shape}]`);
  return shape[axis]!;
}

const withSize = (shape: Shape, axis: number, size: number): Shape => shape.map((old, i) => (i === axis ? size : old));

function joinedShape(shapes: readonly Shape[], axis: number): Shape {
  const first = shapes[0]!;
  const size = shapes.reduce((sum, shape) => sum + sizeAt(shape, axis), 0);
  for (const shape of shapes)
    if (shape.length !== first.length || shape.some((n, i) => i !== axis && n !== first[i]))
      throw new CheckpointError(`shapes [${first}] and [${shape}] cannot be joined along axis ${axis}`);
  return withSize(first, axis, size);
}

function splitShapes(shape: Shape, { axis, parts }: Move, count: number): Shape[] {
  if (count === 1) return [shape];
  const size = sizeAt(shape, axis);
  const total = parts.reduce((sum, n) => sum + n, 0);
  if (size % total !== 0) throw new CheckpointError(`axis ${axis} of shape [${shape}] cannot be split into parts [${parts}]`);
  return parts.map((n) => withSize(shape, axis, (size / total) * n));
}

const product = (sizes: Shape): number => sizes.reduce((total, n) => total * n, 1);
const like = (values: HostArray, length: number): HostArray => new (values.constructor as typeof Float32Array)(length);

function part(from: Values, move: Move, count: number, which: number): Values {
  if (count === 1) return from;
  const { axis } = move;
  const shapes = splitShapes(from.shape, move, count);
  const shape = shapes[which]!;
  const inner = product(from.shape.slice(axis + 1));
  const row = from.shape[axis]! * inner;
  const width = shape[axis]! * inner;
  const start = shapes.slice(0, which).reduce((sum, before) => sum + before[axis]!, 0) * inner;
  const values = like(from.values, product(shape));
  for (let r = 0, at = 0; at < values.length; r++, at += width)
    values.set(from.values.subarray(r * row + start, r * row + start + width), at);
  return { shape, values };
}

function joined(all: readonly Values[], axis: number): Values {
  const shape = joinedShape(
    all.map((one) => one.shape),
    axis,
  );
  const row = product(shape.slice(axis));
  const values = like(all[0]!.values, product(shape));
  let start = 0;
  for (const one of all) {
    const width = product(one.shape.slice(axis));
    for (let from = 0, at = start; from < one.values.length; from += width, at += row)
      values.set(one.values.subarray(from, from + width), at);
    start += width;
  }
  return { shape, values };
}

function transposed({ shape, values }: Values): Values {
  const turnedShape = turned(shape);
  const [rows, columns] = shape.slice(-2) as [number, number];
  const out = like(values, values.length);
  for (let base = 0; base < values.length; base += rows * columns)
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[base + c * rows + r] = values[base + r * columns + c]!;
  return { shape: turnedShape, values: out };
}
