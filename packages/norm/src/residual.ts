import { Module } from "@x/nn";
import type { Tensor } from "@x/tensor";

/** Anything that maps [..., dim] to [..., dim], with whatever else it takes. */
export interface Branch<A extends readonly unknown[] = readonly []> extends Module {
  forward(x: Tensor, ...rest: A): Tensor;
}
/** A norm: LayerNorm, RMSNorm, or one of yours. */
export interface Norm extends Module {
  forward(x: Tensor): Tensor;
  /** sum = x + residual and y = its norm, for norms that do both in one pass. */
  addNorm?(x: Tensor, residual: Tensor): { readonly y: Tensor; readonly sum: Tensor };
}
export interface ResidualOptions<A extends readonly unknown[] = readonly []> {
  readonly norm: Norm;
  readonly branch: Branch<A>;
}

/** What the placements share: a norm and a branch, at "norm" and "branch". */
abstract class Residual<A extends readonly unknown[]> extends Module {
  readonly norm: Norm;
  readonly branch: Branch<A>;

  constructor({ norm, branch }: ResidualOptions<A>) {
    super();
    this.norm = norm;
    this.branch = branch;
  }

  abstract override forward(x: Tensor, ...rest: A): Tensor;
}

/**
 * x + branch(norm(x)): today's placement, which needs a last norm after the stack. What follows x goes to the branch. [..., dim] -> [..., dim].
 * Xiong et al. 2020, arXiv 2002.04745.
 */
export class PreNorm<A extends readonly unknown[] = readonly []> extends Residual<A> {
  forward(x: Tensor, ...rest: A): Tensor {
    return x.add(this.branch.forward(this.norm.forward(x), ...rest));
  }
}

/** norm(x + branch(x)): the original Transformer's placement. What follows x goes to the branch. [..., dim] -> [..., dim]. Vaswani et al. 2017, arXiv 1706.03762. */
export class PostNorm<A extends readonly unknown[] = readonly []> extends Residual<A> {
  forward(x: Tensor, ...rest: A): Tensor {
    const branch = this.branch.forward(x, ...rest);
    return this.norm.addNorm?.(branch, x).y ?? this.norm.forward(x.add(branch));
  }
}
