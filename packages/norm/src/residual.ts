import { Module } from "@x/nn";
import type { Tensor } from "@x/tensor";

/** Anything that maps [..., dim] to [..., dim], with whatever else it takes. */
export interface Branch<A extends readonly unknown[] = readonly []> extends Module {
  forward(x: Tensor, ...rest: A): Tensor;
}
/** A norm: LayerNorm, RMSNorm, or one of yours. */
export interface Norm extends Module {
  forward(x: Tensor): Tensor;
}
interface ResidualOptions<A extends readonly unknown[]> {
  readonly norm: Norm;
  readonly branch: Branch<A>;
}

/** x + branch(norm(x)): today's placement, which needs a last norm after the stack. [..., dim] -> [..., dim] */
export class PreNorm<A extends readonly unknown[] = readonly []> extends Module {
  readonly norm: Norm;
  readonly branch: Branch<A>;

  constructor({ norm, branch }: ResidualOptions<A>) {
    super();
    this.norm = norm;
    this.branch = branch;
  }

  forward(x: Tensor, ...rest: A): Tensor {
    return x.add(this.branch.forward(this.norm.forward(x), ...rest));
  }
}

/** norm(x + branch(x)): the original Transformer's placement. [..., dim] -> [..., dim] */
export class PostNorm<A extends readonly unknown[] = readonly []> extends Module {
  readonly norm: Norm;
  readonly branch: Branch<A>;

  constructor({ norm, branch }: ResidualOptions<A>) {
    super();
    this.norm = norm;
    this.branch = branch;
  }

  forward(x: Tensor, ...rest: A): Tensor {
    return this.norm.forward(x.add(this.branch.forward(x, ...rest)));
  }
}
