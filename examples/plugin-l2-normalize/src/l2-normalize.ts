import { aux, DTypeError, defineOp, isFloat, one, out, ShapeError, show, statisticsOf, type Tensor } from "@x/tensor";

/** 1 / max(|x|, eps) of each row. */
const inverseOf = (x: Tensor, eps: number): Tensor => x.cast(statisticsOf(x.dtype)).square().sum(-1).sqrt().maximum(eps).pow(-1);

/**
 * Rows of unit length: x / max(|x|, eps) over the last axis, as torch.nn.functional.normalize. [..., dim] -> [..., dim]. A row shorter than `eps` is scaled by 1 / eps, so that zeros stay zeros.
 */
export const l2Normalize = defineOp({
  // The package's name before it: names are unique on a device.
  name: "plugin-l2-normalize/l2Normalize",
  inputs: { x: one() },
  attrs: { eps: 1e-12 },
  outputs: { y: out(), inverse: aux() },
  infer: ({ x }) => {
    if (!isFloat(x.dtype)) throw new DTypeError(`l2Normalize: x must be floating point, got ${x.dtype}. Write .cast("f32").`);
    if (x.shape.length === 0) throw new ShapeError(`l2Normalize: x needs a last axis to normalise over, got ${show(x.shape)}.`);
    return { y: x, inverse: { shape: x.shape.slice(0, -1), dtype: statisticsOf(x.dtype) } };
  },
  reference: ({ x }, { eps }) => {
    const inverse = inverseOf(x, eps);
    return { y: x.cast(inverse.dtype).mul(inverse.unsqueeze(-1)).cast(x.dtype), inverse };
  },
  saves: ["y", "inverse"],
  /*
   * dx = inverse (dy - y (y . dy)) where the length decides; inverse dy where eps does, whose rows are shorter than 1 by more than rounding. Made of operations, so that gradients of
   * gradients work; what flows into the auxiliary output comes along: d inverse / dx = -inverse^2 y.
   */
  grad: ({ saved: { y, inverse }, attrs: { eps }, upstream: { y: dy, inverse: dinverse } }) => {
    const wide = inverse.dtype;
    const unit = y.cast(wide);
    const free = inverse.lt(1 / eps).unsqueeze(-1);
    const scale = inverse.unsqueeze(-1);
    const zero = unit.zerosLike();
    const g = dy?.cast(wide) ?? zero;
    const along = g.mul(unit).sum(-1, { keepDims: true });
    const length = dinverse ? along.add(dinverse.mul(inverse).unsqueeze(-1)) : along;
    return {
      x: g
        .sub(free.where(unit.mul(length), zero))
        .mul(scale)
        .cast(y.dtype),
    };
  },
  mayReuse: { y: "x" },
});
