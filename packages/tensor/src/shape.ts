import { ShapeError } from "./errors.ts";

export type Shape = readonly number[];

export const sizeOf = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1);
export const show = (shape: Shape): string => `[${shape.join(", ")}]`;
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((extent, i) => extent === b[i]);

/** Row-major strides, in elements. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis]!;
  }
  return strides;
}

/** Whether walking `shape` in row-major order visits consecutive elements. Axes of extent 1 have no say. */
export function isContiguous(shape: Shape, strides: Shape): boolean {
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 0) return true;
    if (shape[axis] !== 1 && strides[axis] !== step) return false;
    step *= shape[axis]!;
  }
  return true;
}

/** A possibly negative axis as an index into a shape of `rank` axes. */
export function axisIn(axis: number, rank: number, who: string): number {
  const index = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || index < 0 || index >= rank)
    throw new ShapeError(`${who}: axis must be an integer from ${-rank} to ${rank - 1} for a tensor of ${rank} axes, got ${axis}.`);
  return index;
}

/** One axis, several, or (undefined) all, as sorted distinct indices. */
export function axesIn(axes: number | readonly number[] | undefined, rank: number, who: string): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  const list = (typeof axes === "number" ? [axes] : axes).map((axis) => axisIn(axis, rank, who));
  if (new Set(list).size !== list.length) throw new ShapeError(`${who}: axes must be distinct, got ${show(list)}.`);
  return list.sort((a, b) => a - b);
}

/** The shape that all of `shapes` broadcast to, as in NumPy: aligned at the end, extents equal or 1. */
export function broadcast(shapes: readonly Shape[], who: string): Shape {
  let rank = 0;
  for (const shape of shapes) rank = Math.max(rank, shape.length);
  const out = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const at = rank - shape.length + i;
      const extent = shape[i]!;
      if (extent === out[at] || extent === 1) continue;
      if (out[at] !== 1)
        throw new ShapeError(`${who}: shapes ${shapes.map(show).join(" and ")} do not broadcast: extents ${out[at]} and ${extent} differ.`);
      out[at] = extent;
    }
  }
  return out;
}

/** Strides of a tensor of `shape` and `strides` read as `target`, 0 along the axes it is repeated over. */
export function broadcastStrides(shape: Shape, strides: Shape, target: Shape): number[] {
  const lead = target.length - shape.length;
  return target.map((_, axis) => (axis < lead || shape[axis - lead] === 1 ? 0 : strides[axis - lead]!));
}

/** The strides of the same elements under another shape of equal size, or undefined where only a copy can give it. */
export function reshapedStrides(shape: Shape, strides: Shape, target: Shape): number[] | undefined {
  if (isContiguous(shape, strides)) return contiguousStrides(target);
  const out = new Array<number>(target.length).fill(0);
  let from = 0;
  let to = 0;
  while (from < shape.length || to < target.length) {
    let fromSize = shape[from] ?? 1;
    let toSize = target[to] ?? 1;
    let fromEnd = from + 1;
    let toEnd = to + 1;
    while (fromSize !== toSize) {
      if (fromSize < toSize) fromSize *= shape[fromEnd++] ?? Number.NaN;
      else toSize *= target[toEnd++] ?? Number.NaN;
      if (Number.isNaN(fromSize) || Number.isNaN(toSize)) return undefined;
    }
    // Axes from..fromEnd must form one run of a single stride to be cut anew.
    let inner = -1;
    for (let axis = Math.min(fromEnd, shape.length) - 1; axis >= from; axis--) {
      if (shape[axis] === 1) continue;
      if (inner >= 0 && strides[axis] !== strides[inner]! * runLength(shape, axis + 1, inner)) return undefined;
      inner = inner < 0 ? axis : inner;
    }
    let step = inner < 0 ? 0 : strides[inner]!;
    for (let axis = Math.min(toEnd, target.length) - 1; axis >= to; axis--) {
      out[axis] = step;
      step *= target[axis]!;
    }
    from = fromEnd;
    to = toEnd;
  }
  return out;
}

function runLength(shape: Shape, begin: number, last: number): number {
  let length = 1;
  for (let axis = begin; axis <= last; axis++) length *= shape[axis]!;
  return length;
}

/** `shape` without the given axes, or with them at extent 1. */
export function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): Shape {
  return keepDims ? shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent)) : shape.filter((_, axis) => !axes.includes(axis));
}

export function checkShape(shape: Shape, who: string): void {
  for (const extent of shape)
    if (!Number.isInteger(extent) || extent < 0) throw new ShapeError(`${who}: extents must be non-negative integers, got ${show(shape)}.`);
}
