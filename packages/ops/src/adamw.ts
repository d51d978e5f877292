import { defineOp, maybe, one, out, ShapeError, scalar, show, type Tensor } from "@x/tensor";

/**
 * One AdamW update: p *= 1 - lr weightDecay; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p -= lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps), with g scaled by
 * `gradScale` (clipping). `step` is t, from 1. Where `skip` is not 0 all three come out unchanged. Loshchilov and Hutter 2019, arXiv 1711.05101; torch's order.
 */
export const adamw = defineOp({
  name: "adamw",
  inputs: { param: one(), grad: one(), m: one(), v: one(), lr: scalar(), step: scalar(), gradScale: maybe(), skip: maybe() },
  attrs: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 },
  outputs: { param: out(), m: out(), v: out() },
  infer: (inputs) => {
    const { param } = inputs;
    for (const name of ["grad", "m", "v"] as const)
      if (show(inputs[name].shape) !== show(param.shape))
        throw new ShapeError(`adamw: ${name} must be ${show(param.shape)} like param, got ${show(inputs[name].shape)}.`);
    return { param, m: inputs.m, v: inputs.v };
  },
  reference: ({ param, grad, m, v, lr, step, gradScale, skip }, { beta1, beta2, eps, weightDecay }) => {
    const wide = m.dtype;
    const one = (x: Tensor) => x.cast(wide).reshape([]);
    const g = gradScale ? grad.cast(wide).mul(one(gradScale)) : grad.cast(wide);
    const [rate, t] = [one(lr), one(step)];
    // 1 - beta^t = -expm1(t ln beta) with ln beta from f64: f32(0.999) alone would lose five digits at t = 1.
    const correction = (beta: number) => t.mul(Math.log(beta)).expm1().neg();
    const nextM = m.mul(beta1).add(g.mul(1 - beta1));
    const nextV = v.mul(beta2).add(g.mul(g).mul(1 - beta2));
    const denominator = nextV.sqrt().div(correction(beta2).sqrt()).add(eps);
    const wideParam = param.cast(wide);
    const decayed = weightDecay === 0 ? wideParam : wideParam.sub(wideParam.mul(rate.mul(weightDecay)));
    const nextParam = decayed.sub(nextM.div(denominator).mul(rate.div(correction(beta1)))).cast(param.dtype);
    if (!skip) return { param: nextParam, m: nextM, v: nextV };
    const keep = one(skip).ne(0);
    return { param: keep.where(param, nextParam), m: keep.where(m, nextM), v: keep.where(v, nextV) };
  },
  mayReuse: { param: "param", m: "m", v: "v" },
});
