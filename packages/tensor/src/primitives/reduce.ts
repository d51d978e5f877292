import { DTypeError, ShapeError } from "../errors.ts";
import { defineOp, one, out, required, type Spec } from "../op.ts";
import { axesIn, broadcast, reducedShape, type Shape, sameShape, show } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

interface ReduceAttrs {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}
const attrs = { axes: required<readonly number[]>(), keepDims: false };

function inferReduced(who: string, x: Spec, { axes, keepDims }: ReduceAttrs, emptyIsError = false): Spec {
  const at = axesIn(axes, x.shape.length, who);
  if (x.dtype === "bool") throw new DTypeError(`${who}: takes numbers, got bool. Write .cast("i32") first.`);
  if (emptyIsError && at.some((axis) => x.shape[axis] === 0))
    throw new ShapeError(`${who}: axis of extent 0 in ${show(x.shape)} has no ${who}.`);
  return { shape: reducedShape(x.shape, at, keepDims), dtype: x.dtype };
}

/** A reduced tensor spread again over the axes it lost. */
function restore(reduced: Tensor, shape: Shape, { axes }: ReduceAttrs): Tensor {
  return reduced.reshape(reducedShape(shape, axesIn(axes, shape.length, "reduce"), true)).expand(shape);
}

/** The sum over axes. Floats narrower than f32 are summed in f32; integers wrap. */
export const sum = defineOp({
  name: "sum",
  inputs: { x: one() },
  attrs,
  outputs: { y: out() },
  infer: ({ x }, attrs) => ({ y: inferReduced("sum", x, attrs) }),
  grad: ({ specs, attrs, upstream }) => ({ x: restore(upstream.y!, specs.x.shape, attrs) }),
});

/** The product over axes. */
export const prod = defineOp({
  name: "prod",
  inputs: { x: one() },
  attrs,
  outputs: { y: out() },
  infer: ({ x }, attrs) => ({ y: inferReduced("prod", x, attrs) }),
  saves: ["x"],
  // The product of the others along each axis from both sides, so that zeros do not divide.
  grad: ({ saved: { x }, specs, attrs, upstream }) => {
    const axes = axesIn(attrs.axes, specs.x.shape.length, "prod");
    const kept = specs.x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
    const order = [...kept, ...axes];
    const moved = x.permute(order);
    const flat = moved.reshape([...kept.map((axis) => specs.x.shape[axis]!), axes.reduce((n, axis) => n * specs.x.shape[axis]!, 1)]);
    const others = flat.cumprod(-1, { exclusive: true }).mul(flat.cumprod(-1, { exclusive: true, reverse: true }));
    const back = order.map((_, i) => order.indexOf(i));
    return {
      x: others
        .reshape(moved.shape)
        .permute(back)
        .mul(restore(upstream.y!, specs.x.shape, attrs)),
    };
  },
});

const extremum = (name: "max" | "min") =>
  defineOp({
    name,
    inputs: { x: one() },
    attrs,
    outputs: { y: out() },
    infer: ({ x }, attrs) => ({ y: inferReduced(name, x, attrs, true) }),
    saves: ["x", "y"],
    // Equal extrema share the gradient.
    grad: ({ saved: { x, y }, specs, attrs, upstream }) => {
      const hit = x.eq(restore(y, specs.x.shape, attrs)).cast(x.dtype);
      const count = sum({ x: hit }, { axes: attrs.axes, keepDims: attrs.keepDims });
      return { x: hit.mul(restore(upstream.y!.div(count), specs.x.shape, attrs)) };
    },
  });
/** The largest element over axes; NaN wins. */
export const max = extremum("max");
/** The smallest element over axes; NaN wins. */
export const min = extremum("min");

const position = (name: "argmax" | "argmin") =>
  defineOp({
    name,
    inputs: { x: one() },
    attrs: { axis: required<number>(), keepDims: false },
    outputs: { y: out() },
    infer: ({ x }, { axis, keepDims }) => ({ y: { shape: inferReduced(name, x, { axes: [axis], keepDims }, true).shape, dtype: "i32" } }),
    grad: () => ({}),
  });
/** The index of the largest element along an axis, i32; the first of equals. */
export const argmax = position("argmax");
/** The index of the smallest element along an axis, i32; the first of equals. */
export const argmin = position("argmin");

/** Sums a gradient over the axes along which its input was broadcast. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  broadcast([x.shape, shape], "sumTo");
  const lead = x.shape.length - shape.length;
  const axes = x.shape.flatMap((n, axis) => (axis < lead || (shape[axis - lead] === 1 && n !== 1) ? [axis] : []));
  return axes.length === 0 ? x.reshape(shape) : sum({ x }, { axes }).reshape(shape);
}
