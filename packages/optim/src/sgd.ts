import { statisticsOf, type Tensor, TensorError } from "@x/tensor";
import { atLeastTwoAxes, type OptimizerRule, type ParameterPredicate, type ParameterUpdate, perParameter } from "./optimizer.ts";
import { expectNumber, next, scaled } from "./scalars.ts";

export interface SGDOptions {
  readonly momentum?: number;
  /** Share of the gradient that does not enter the momentum, from the second step on. */
  readonly dampening?: number;
  readonly nesterov?: boolean;
  /** Added to the gradient, times the parameter. */
  readonly weightDecay?: number;
  /** Which parameters decay; by default those with two or more axes. */
  readonly decay?: ParameterPredicate;
}

/**
 * Stochastic gradient descent: g += weightDecay p; b = momentum b + (1 - dampening) g, the first gradient itself at the first step; p -= lr b, or
 * lr (g + momentum b) with `nesterov`. States "momentum_buffer" (where there is momentum) and "step". As torch.optim.SGD.
 */
export function sgd(options: SGDOptions = {}): OptimizerRule {
  const { momentum = 0, dampening = 0, nesterov = false, weightDecay = 0, decay = atLeastTwoAxes } = options;
  expectNumber("sgd", "momentum", momentum, 0, 1);
  expectNumber("sgd", "dampening", dampening, 0, 1, false);
  expectNumber("sgd", "weightDecay", weightDecay, 0);
  if (nesterov && (momentum === 0 || dampening !== 0)) throw new TensorError("sgd: nesterov needs momentum above 0, and dampening 0.");
  const direction = ({ step, slots, skip }: ParameterUpdate, g: Tensor): Tensor => {
    if (momentum === 0) return g;
    const buffer = slots.momentum_buffer!;
    const later = buffer.value.mul(momentum).add(g.mul(1 - dampening));
    const moved = dampening === 0 ? later : step.eq(1).where(g, later);
    next(buffer, moved, skip);
    return nesterov ? g.add(moved.mul(momentum)) : moved;
  };
  return perParameter({
    name: "sgd",
    slots: momentum === 0 ? [] : ["momentum_buffer"],
    update(update) {
      const { name, parameter, gradient, lr, gradScale, skip } = update;
      const wide = { dtype: statisticsOf(parameter.dtype) };
      const p = parameter.value.cast(wide.dtype);
      const g = scaled(gradient, gradScale, wide);
      const decayed = weightDecay > 0 && decay(name, parameter) ? g.add(p.mul(weightDecay)) : g;
      next(parameter, p.sub(direction(update, decayed).mul(lr.cast(wide.dtype))), skip);
    },
  });
}
