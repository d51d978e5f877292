import { DTypeError, ShapeError } from "../errors.ts";
import { defineOp, many, one, out, required } from "../op.ts";
import { axisIn, type Shape, show } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Tensors one after another along an axis. [..., n_i, ...] -> [..., sum n_i, ...] */
export const concat = defineOp({
  name: "concat",
  inputs: { xs: many() },
  attrs: { axis: required<number>() },
  outputs: { y: out() },
  infer: ({ xs }, { axis }) => {
    const first = xs[0];
    if (!first) throw new ShapeError("concat: needs at least one tensor.");
    const at = axisIn(axis, first.shape.length, "concat");
    let extent = 0;
    for (const [i, x] of xs.entries()) {
      if (x.dtype !== first.dtype) throw new DTypeError(`concat: tensor ${i} is ${x.dtype}, tensor 0 ${first.dtype}. Cast one.`);
      const fits = x.shape.length === first.shape.length && x.shape.every((n, j) => j === at || n === first.shape[j]);
      if (!fits)
        throw new ShapeError(
          `concat: tensor ${i} has shape ${show(x.shape)}, which differs from ${show(first.shape)} beyond axis ${axis}.`,
        );
      extent += x.shape[at]!;
    }
    return { y: { shape: first.shape.map((n, i) => (i === at ? extent : n)), dtype: first.dtype } };
  },
  grad: ({ specs: { xs }, attrs: { axis }, upstream: { y } }) => {
    let start = 0;
    const at = axisIn(axis, xs[0]!.shape.length, "concat");
    return {
      xs: xs.map((x) => {
        const end = start + x.shape[at]!;
        const part = y!.slice(axis, start, end);
        start = end;
        return part;
      }),
    };
  },
});

/**
 * A tensor of `shape` that is `value` everywhere but at offsets[i] + k * steps[i], where it is x: padding, dilation, and the gradient of a slice.
 */
export const embed = defineOp({
  name: "embed",
  inputs: { x: one() },
  attrs: { shape: required<Shape>(), offsets: required<readonly number[]>(), steps: required<readonly number[]>(), value: 0 },
  outputs: { y: out() },
  infer: ({ x }, { shape, offsets, steps }) => {
    const rank = x.shape.length;
    if (shape.length !== rank || offsets.length !== rank || steps.length !== rank)
      throw new ShapeError(`embed: shape, offsets and steps must have ${rank} entries like ${show(x.shape)}.`);
    for (const [i, n] of x.shape.entries()) {
      const last = n === 0 ? 0 : offsets[i]! + (n - 1) * steps[i]! + 1;
      if (offsets[i]! < 0 || steps[i]! < 1 || last > shape[i]!)
        throw new ShapeError(`embed: axis ${i}: ${n} elements from ${offsets[i]} by ${steps[i]} do not fit into ${shape[i]}.`);
    }
    return { y: { shape, dtype: x.dtype } };
  },
  grad: ({ specs: { x }, attrs: { offsets, steps }, upstream }) => {
    let g: Tensor = upstream.y!;
    for (const [axis, n] of x.shape.entries()) {
      const start = offsets[axis]!;
      const end = n === 0 ? start : start + (n - 1) * steps[axis]! + 1;
      g = g.slice(axis, start, end, steps[axis]!);
    }
    return { x: g };
  },
});
