import { adamw } from "@x/ops";
import { atLeastTwoAxes, type OptimizerRule, type ParameterPredicate, perParameter } from "./optimizer.ts";
import { expectNumber } from "./scalars.ts";

export interface AdamWOptions {
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  readonly weightDecay?: number;
  /** Which parameters decay; by default those with two or more axes. */
  readonly decay?: ParameterPredicate;
}

/**
 * AdamW: p -= lr weightDecay p; p -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps). One fused launch a parameter. States "exp_avg", "exp_avg_sq"
 * and "step". Loshchilov and Hutter 2019, arXiv 1711.05101; defaults and order of torch.optim.AdamW.
 */
export function adamW({ betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01, decay = atLeastTwoAxes }: AdamWOptions = {}): OptimizerRule {
  const [beta1, beta2] = betas;
  for (const [i, beta] of betas.entries()) expectNumber("adamW", `betas[${i}]`, beta, 0, 1);
  expectNumber("adamW", "eps", eps, 0);
  expectNumber("adamW", "weightDecay", weightDecay, 0);
  return perParameter({
    name: "adamW",
    slots: ["exp_avg", "exp_avg_sq"],
    update({ name, parameter, gradient, slots, ...data }) {
      const [m, v] = [slots.exp_avg!, slots.exp_avg_sq!];
      const attrs = { beta1, beta2, eps, weightDecay: decay(name, parameter) ? weightDecay : 0 };
      const made = adamw({ param: parameter, grad: gradient, m, v, ...data }, attrs);
      parameter.set(made.param);
      m.set(made.m);
      v.set(made.v);
    },
  });
}
