import { DTypeError, defineOp, maybe, one, out, type Spec, scalar, statisticsOf, type Tensor } from "@x/tensor";
import { expectFloat, expectShape } from "./expect.ts";

interface Inputs {
  readonly param: Spec;
  readonly grad: Spec;
  readonly m: Spec;
  readonly v: Spec;
  readonly lr: Spec;
  readonly step: Spec;
  readonly gradScale: Spec | undefined;
  readonly skip: Spec | undefined;
}

function check({ param, grad, m, v, lr, step, gradScale, skip }: Inputs): void {
  const wide = statisticsOf(param.dtype);
  for (const [name, spec] of Object.entries({ param, grad, lr, step, ...(gradScale && { gradScale }) })) expectFloat("adamw", name, spec);
  for (const [name, spec] of Object.entries({ grad, m, v })) expectShape("adamw", name, spec, param.shape, "like param");
  for (const [name, spec] of Object.entries({ m, v }))
    if (spec.dtype !== wide) throw new DTypeError(`adamw: ${name} must be ${wide} for ${param.dtype} param, got ${spec.dtype}.`);
  for (const [name, spec] of Object.entries({ gradScale, skip })) if (spec) expectShape("adamw", name, spec, [], "(one number for all)");
  if (skip && skip.dtype !== "bool") throw new DTypeError(`adamw: skip must be bool, got ${skip.dtype}. Write .ne(0).`);
}

/** 1 - beta^t = -expm1(t ln beta), with ln beta from f64: beta^t of an f32 beta would lose five digits at t = 1. A beta of 0 corrects nothing. */
function correction(beta: number, t: Tensor): Tensor {
  return t
    .mul(Math.log(Math.max(beta, 1e-30)))
    .expm1()
    .neg();
}

/**
 * One AdamW update: p -= lr weightDecay p; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; p -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps), with g
 * multiplied by `gradScale` (clipping). param, grad, m and v of one shape, m and v f32; `lr` and `step` (t, from 1) are data; gradScale [] and skip bool []. Where `skip` is true all
 * three come out unchanged, whatever the gradient is. Loshchilov and Hutter 2019, arXiv 1711.05101; torch's order.
 */
export const adamw = defineOp({
  name: "adamw",
  inputs: { param: one(), grad: one(), m: one(), v: one(), lr: scalar(), step: scalar(), gradScale: maybe(), skip: maybe() },
  attrs: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 },
  outputs: { param: out(), m: out(), v: out() },
  infer: (inputs) => {
    check(inputs);
    return { param: inputs.param, m: inputs.m, v: inputs.v };
  },
  reference: ({ param, grad, m, v, lr, step, gradScale, skip }, { beta1, beta2, eps, weightDecay }) => {
    const wide = m.dtype;
    const one = (x: Tensor) => x.cast(wide).reshape([]);
    const g = gradScale ? grad.cast(wide).mul(one(gradScale)) : grad.cast(wide);
    const [rate, t] = [one(lr), one(step)];
    const nextM = m.mul(beta1).add(g.mul(1 - beta1));
    const nextV = v.mul(beta2).add(g.mul(g).mul(1 - beta2));
    const denominator = nextV.sqrt().div(correction(beta2, t).sqrt()).add(eps);
    const wideParam = param.cast(wide);
    const decayed = weightDecay === 0 ? wideParam : wideParam.sub(wideParam.mul(rate.mul(weightDecay)));
    const nextParam = decayed.sub(nextM.div(denominator).mul(rate.div(correction(beta1, t)))).cast(param.dtype);
    if (!skip) return { param: nextParam, m: nextM, v: nextV };
    return { param: skip.where(param, nextParam), m: skip.where(m, nextM), v: skip.where(v, nextV) };
  },
  mayReuse: { param: "param", m: "m", v: "v" },
});
