import { DTypeError, ShapeError } from "../errors.ts";
import { defineOp, one, out, required, type Spec } from "../op.ts";
import { axisIn, type Shape, sameShape, show, sizeOf } from "../shape.ts";

function checkIndices(who: string, indices: Spec): void {
  if (indices.dtype !== "i32") throw new DTypeError(`${who}: indices must be i32, got ${indices.dtype}.`);
}

/**
 * Whole slices along an axis: y[..., i, ...] = x[..., indices[i], ...], with the axis replaced by all axes of `indices`. Indices are i32 and clamped to
 * the axis; check them where host data enters.
 */
export const take = defineOp({
  name: "take",
  inputs: { x: one(), indices: one() },
  attrs: { axis: 0 },
  outputs: { y: out() },
  infer: ({ x, indices }, { axis }) => {
    checkIndices("take", indices);
    const at = axisIn(axis, x.shape.length, "take");
    if (x.shape[at] === 0 && sizeOf(indices.shape) > 0) throw new ShapeError(`take: axis ${axis} of ${show(x.shape)} is empty.`);
    return { y: { shape: [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)], dtype: x.dtype } };
  },
  saves: ["indices"],
  grad: ({ saved: { indices }, specs: { x }, attrs: { axis }, upstream }) => ({
    x: upstream.y!.putAdd(indices, axis, x.shape[axisIn(axis, x.shape.length, "take")]!),
  }),
});

/** The transpose of `take`: sums slices into a tensor of zeros whose axis has `extent` elements; slices of one index are added in order. */
export const putAdd = defineOp({
  name: "putAdd",
  inputs: { x: one(), indices: one() },
  attrs: { axis: 0, extent: required<number>() },
  outputs: { y: out() },
  infer: ({ x, indices }, { axis, extent }) => {
    checkIndices("putAdd", indices);
    const rank = x.shape.length - indices.shape.length + 1;
    const at = axisIn(axis, rank, "putAdd");
    if (!sameShape(x.shape.slice(at, at + indices.shape.length), indices.shape))
      throw new ShapeError(`putAdd: x ${show(x.shape)} must have the shape of indices ${show(indices.shape)} from axis ${axis} on.`);
    return { y: { shape: [...x.shape.slice(0, at), extent, ...x.shape.slice(at + indices.shape.length)], dtype: x.dtype } };
  },
  saves: ["indices"],
  grad: ({ saved: { indices }, attrs: { axis }, upstream }) => ({ x: upstream.y!.take(indices, axis) }),
});

function checkAlong(who: string, x: Shape, indices: Shape, axis: number): number {
  const at = axisIn(axis, x.length, who);
  if (indices.length !== x.length || !indices.every((n, i) => i === at || n === x[i]))
    throw new ShapeError(`${who}: indices ${show(indices)} must agree with ${show(x)} on every axis but ${axis}.`);
  return at;
}

/** Single elements along an axis: y[..., i, ...] = x[..., indices[..., i, ...], ...] (torch.gather). Indices are i32 and clamped. */
export const gather = defineOp({
  name: "gather",
  inputs: { x: one(), indices: one() },
  attrs: { axis: required<number>() },
  outputs: { y: out() },
  infer: ({ x, indices }, { axis }) => {
    checkIndices("gather", indices);
    const at = checkAlong("gather", x.shape, indices.shape, axis);
    if (x.shape[at] === 0 && sizeOf(indices.shape) > 0) throw new ShapeError(`gather: axis ${axis} of ${show(x.shape)} is empty.`);
    return { y: { shape: indices.shape, dtype: x.dtype } };
  },
  saves: ["indices"],
  grad: ({ saved: { indices }, specs: { x }, attrs: { axis }, upstream }) => ({
    x: upstream.y!.scatterAdd(indices, axis, x.shape[axisIn(axis, x.shape.length, "gather")]!),
  }),
});

/** The transpose of `gather`: adds elements into zeros, y[..., indices[..., i, ...], ...] += x[..., i, ...], in order. */
export const scatterAdd = defineOp({
  name: "scatterAdd",
  inputs: { x: one(), indices: one() },
  attrs: { axis: required<number>(), extent: required<number>() },
  outputs: { y: out() },
  infer: ({ x, indices }, { axis, extent }) => {
    checkIndices("scatterAdd", indices);
    if (!sameShape(x.shape, indices.shape))
      throw new ShapeError(`scatterAdd: x ${show(x.shape)} and indices ${show(indices.shape)} must have one shape.`);
    const at = axisIn(axis, x.shape.length, "scatterAdd");
    return { y: { shape: x.shape.map((n, i) => (i === at ? extent : n)), dtype: x.dtype } };
  },
  saves: ["indices"],
  grad: ({ saved: { indices }, attrs: { axis }, upstream }) => ({ x: upstream.y!.gather(indices, axis) }),
});
