import { ShapeError } from "../errors.ts";
import { defineOp, one, out, required, type View } from "../op.ts";
import { axisIn, broadcastStrides, checkShape, reshapedStrides, type Shape, show, sizeOf } from "../shape.ts";
import { embed } from "./assemble.ts";
import { sumTo } from "./reduce.ts";

/** Marks an operation as a view: its output is the input's memory seen otherwise, and nothing runs. */
function asView<O extends { readonly contract: object }>(op: O, view: View): O {
  Object.assign(op.contract, { view });
  return op;
}

/** The same elements in row-major order under another shape of equal size. */
export const reshape = asView(
  defineOp({
    name: "reshape",
    inputs: { x: one() },
    attrs: { shape: required<Shape>() },
    outputs: { y: out() },
    infer: ({ x }, { shape }) => {
      checkShape(shape, "reshape");
      if (sizeOf(shape) !== sizeOf(x.shape))
        throw new ShapeError(`reshape: ${show(x.shape)} has ${sizeOf(x.shape)} elements, ${show(shape)} would have ${sizeOf(shape)}.`);
      return { y: { shape, dtype: x.dtype } };
    },
    grad: ({ specs, upstream }) => ({ x: upstream.y!.reshape(specs.x.shape) }),
  }),
  (shape, strides, { shape: target }) => {
    const seen = reshapedStrides(shape, strides, target as Shape);
    return seen && { offset: 0, strides: seen };
  },
);

/** The axes in another order: output axis i is input axis order[i]. */
export const permute = asView(
  defineOp({
    name: "permute",
    inputs: { x: one() },
    attrs: { order: required<readonly number[]>() },
    outputs: { y: out() },
    infer: ({ x }, { order }) => {
      const axes = order.map((axis) => axisIn(axis, x.shape.length, "permute"));
      if (axes.length !== x.shape.length || new Set(axes).size !== axes.length)
        throw new ShapeError(`permute: order must name each of the ${x.shape.length} axes once, got ${show(order)}.`);
      return { y: { shape: axes.map((axis) => x.shape[axis]!), dtype: x.dtype } };
    },
    grad: ({ attrs: { order }, specs, upstream }) => {
      const back = new Array<number>(order.length);
      for (const [i, axis] of order.entries()) back[axisIn(axis, specs.x.shape.length, "permute")] = i;
      return { x: upstream.y!.permute(back) };
    },
  }),
  (shape, strides, { order }) => ({
    offset: 0,
    strides: (order as number[]).map((axis) => strides[axis < 0 ? axis + shape.length : axis]!),
  }),
);

/** Repeats along axes of extent 1 (and new leading ones) without copying: NumPy's broadcast_to. */
export const expand = asView(
  defineOp({
    name: "expand",
    inputs: { x: one() },
    attrs: { shape: required<Shape>() },
    outputs: { y: out() },
    infer: ({ x }, { shape }) => {
      const lead = shape.length - x.shape.length;
      if (lead < 0 || !x.shape.every((extent, i) => extent === 1 || extent === shape[lead + i]))
        throw new ShapeError(`expand: ${show(x.shape)} does not broadcast to ${show(shape)}.`);
      return { y: { shape, dtype: x.dtype } };
    },
    grad: ({ specs, upstream }) => ({ x: sumTo(upstream.y!, specs.x.shape) }),
  }),
  (shape, strides, { shape: target }) => ({ offset: 0, strides: broadcastStrides(shape, strides, target as Shape) }),
);

/** Elements start, start + step, ... before `end` along one axis. */
export const slice = asView(
  defineOp({
    name: "slice",
    inputs: { x: one() },
    attrs: { axis: required<number>(), start: required<number>(), end: required<number>(), step: 1 },
    outputs: { y: out() },
    infer: ({ x }, { axis, start, end, step }) => {
      const at = axisIn(axis, x.shape.length, "slice");
      const extent = x.shape[at]!;
      const whole = [start, end, step].every(Number.isInteger);
      if (!whole || step < 1 || start < 0 || end < start || end > extent)
        throw new ShapeError(
          `slice: needs 0 <= start <= end <= ${extent} and step >= 1 along axis ${axis} of ${show(x.shape)}, got start ${start}, end ${end}, step ${step}.`,
        );
      return { y: { shape: x.shape.map((n, i) => (i === at ? Math.ceil((end - start) / step) : n)), dtype: x.dtype } };
    },
    grad: ({ specs, attrs: { axis, start, step }, upstream }) => {
      const at = axisIn(axis, specs.x.shape.length, "slice");
      const offsets = specs.x.shape.map((_, i) => (i === at ? start : 0));
      const steps = specs.x.shape.map((_, i) => (i === at ? step : 1));
      return { x: embed({ x: upstream.y! }, { shape: specs.x.shape, offsets, steps }) };
    },
  }),
  (shape, strides, attrs) => {
    const { axis, start, step } = attrs as { axis: number; start: number; step: number };
    const at = axisIn(axis, shape.length, "slice");
    return { offset: start * strides[at]!, strides: strides.map((stride, i) => (i === at ? stride * step : stride)) };
  },
);

/** The elements of one axis in the opposite order. */
export const flip = asView(
  defineOp({
    name: "flip",
    inputs: { x: one() },
    attrs: { axis: required<number>() },
    outputs: { y: out() },
    infer: ({ x }, { axis }) => {
      axisIn(axis, x.shape.length, "flip");
      return { y: x };
    },
    grad: ({ attrs: { axis }, upstream }) => ({ x: upstream.y!.flip(axis) }),
  }),
  (shape, strides, { axis }) => {
    const at = axisIn(axis as number, shape.length, "flip");
    const offset = Math.max(0, shape[at]! - 1) * strides[at]!;
    return { offset, strides: strides.map((stride, i) => (i === at ? -stride : stride)) };
  },
);
