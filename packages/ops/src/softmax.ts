import { axisIn, defineOp, one, out, type Spec, statisticsOf, type Tensor } from "@x/tensor";
import { expectFloat, expectSame } from "./expect.ts";

const infer =
  (who: string) =>
  ({ x }: { x: Spec }, { axis }: { axis: number }) => {
    axisIn(axis, x.shape.length, who);
    expectFloat(who, "x", x);
    return { y: x };
  };

const inferBackward =
  (who: string) =>
  ({ y, dy }: { y: Spec; dy: Spec }, { axis }: { axis: number }) => {
    axisIn(axis, y.shape.length, who);
    expectFloat(who, "y", y);
    expectSame(who, "dy", dy, y, "y");
    return { dx: y };
  };

/** x less its largest element along the axis, with statistics in f32: nothing overflows. */
function shifted(x: Tensor, axis: number): Tensor {
  const wide = x.cast(statisticsOf(x.dtype));
  return wide.sub(wide.max(axis, { keepDims: true }));
}

/** exp(x) / sum(exp(x)) along an axis. [...] -> [...] */
export const softmax = defineOp({
  name: "softmax",
  inputs: { x: one() },
  attrs: { axis: -1 },
  outputs: { y: out() },
  infer: infer("softmax"),
  reference: ({ x }, { axis }) => {
    const e = shifted(x, axis).exp();
    return { y: e.div(e.sum(axis, { keepDims: true })).cast(x.dtype) };
  },
  saves: ["y"],
  grad: ({ saved: { y }, attrs, upstream }) => ({ x: softmaxBackward({ y, dy: upstream.y! }, attrs) }),
});

/** y * (dy - sum(y * dy)): the gradient of softmax from its result. */
export const softmaxBackward = defineOp({
  name: "softmaxBackward",
  inputs: { y: one(), dy: one() },
  attrs: { axis: -1 },
  outputs: { dx: out() },
  infer: inferBackward("softmaxBackward"),
  reference: ({ y, dy }, { axis }) => {
    const wide = statisticsOf(y.dtype);
    const [p, g] = [y.cast(wide), dy.cast(wide)];
    return { dx: p.mul(g.sub(p.mul(g).sum(axis, { keepDims: true }))).cast(y.dtype) };
  },
  mayReuse: { dx: "dy" },
});

/** x - log(sum(exp(x))) along an axis. [...] -> [...] */
export const logSoftmax = defineOp({
  name: "logSoftmax",
  inputs: { x: one() },
  attrs: { axis: -1 },
  outputs: { y: out() },
  infer: infer("logSoftmax"),
  reference: ({ x }, { axis }) => {
    const s = shifted(x, axis);
    return { y: s.sub(s.exp().sum(axis, { keepDims: true }).log()).cast(x.dtype) };
  },
  saves: ["y"],
  grad: ({ saved: { y }, attrs, upstream }) => ({ x: logSoftmaxBackward({ y, dy: upstream.y! }, attrs) }),
});

/** dy - exp(y) * sum(dy): the gradient of log-softmax from its result. */
export const logSoftmaxBackward = defineOp({
  name: "logSoftmaxBackward",
  inputs: { y: one(), dy: one() },
  attrs: { axis: -1 },
  outputs: { dx: out() },
  infer: inferBackward("logSoftmaxBackward"),
  reference: ({ y, dy }, { axis }) => {
    const wide = statisticsOf(y.dtype);
    const g = dy.cast(wide);
    return {
      dx: g
        .sub(
          y
            .cast(wide)
            .exp()
            .mul(g.sum(axis, { keepDims: true })),
        )
        .cast(y.dtype),
    };
  },
  mayReuse: { dx: "dy" },
});
