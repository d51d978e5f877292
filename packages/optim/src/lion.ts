import { atLeastTwoAxes, type OptimizerRule, type ParameterPredicate, perParameter } from "./optimizer.ts";
import { expectNumber, next, scaled } from "./scalars.ts";

export interface LionOptions {
  readonly betas?: readonly [number, number];
  readonly weightDecay?: number;
  /** Which parameters decay; by default those with two or more axes. */
  readonly decay?: ParameterPredicate;
}

/**
 * Lion: p -= lr (sign(beta1 m + (1 - beta1) g) + weightDecay p); m = beta2 m + (1 - beta2) g. States "exp_avg" and "step". Its rate is three to ten times
 * smaller than AdamW's, its decay as much larger. Chen et al. 2023, arXiv 2302.06675.
 */
export function lion({ betas = [0.9, 0.99], weightDecay = 0, decay = atLeastTwoAxes }: LionOptions = {}): OptimizerRule {
  const [beta1, beta2] = betas;
  for (const [i, beta] of betas.entries()) expectNumber("lion", `betas[${i}]`, beta, 0, 1);
  expectNumber("lion", "weightDecay", weightDecay, 0);
  return perParameter({
    name: "lion",
    slots: ["exp_avg"],
    update({ name, parameter, gradient, slots, lr, gradScale, skip }) {
      const moment = slots.exp_avg!;
      const [m, p] = [moment.value, parameter.value.cast(moment.dtype)];
      const g = scaled(gradient, gradScale, moment);
      const sign = m
        .mul(beta1)
        .add(g.mul(1 - beta1))
        .sign();
      const direction = weightDecay > 0 && decay(name, parameter) ? sign.add(p.mul(weightDecay)) : sign;
      const moved = m.mul(beta2).add(g.mul(1 - beta2));
      next(parameter, p.sub(direction.mul(lr.cast(moment.dtype))), skip);
      next(moment, moved, skip);
    },
  });
}
