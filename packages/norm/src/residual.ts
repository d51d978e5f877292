import { expectPositive, Module } from "@x/nn";
import type { Tensor } from "@x/tensor";
import type { DropPath } from "./drop-path.ts";
import type { LayerScale } from "./layer-scale.ts";

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
  /** Scales what the branch gives, before it joins the stream. */
  readonly layerScale?: LayerScale | undefined;
  /** Leaves the branch out, of some rows of the batch, while training. */
  readonly dropPath?: DropPath | undefined;
}

/** What the placements share: a norm at "norm", a branch at "branch", and what is done to what the branch gives. */
abstract class Residual<A extends readonly unknown[]> extends Module {
  readonly norm: Norm;
  readonly branch: Branch<A>;
  readonly layerScale: LayerScale | undefined;
  readonly dropPath: DropPath | undefined;

  constructor({ norm, branch, layerScale, dropPath }: ResidualOptions<A>) {
    super();
    this.norm = norm;
    this.branch = branch;
    this.layerScale = layerScale;
    this.dropPath = dropPath;
  }

  abstract override forward(x: Tensor, ...rest: A): Tensor;

  /** What joins the stream, of what the branch gave. */
  protected joining(branch: Tensor): Tensor {
    const scaled = this.layerScale?.forward(branch) ?? branch;
    return this.dropPath?.forward(scaled) ?? scaled;
  }

  /** norm(x + residual), in one pass where the norm can. */
  protected normOfSum(x: Tensor, residual: Tensor): Tensor {
    return this.norm.addNorm?.(x, residual).y ?? this.norm.forward(residual.add(x));
  }
}

/**
 * x + branch(norm(x)): today's placement, which needs a last norm after the stack. What follows x goes to the branch. [..., dim] -> [..., dim].
 * Xiong et al. 2020, arXiv 2002.04745.
 */
export class PreNorm<A extends readonly unknown[] = readonly []> extends Residual<A> {
  forward(x: Tensor, ...rest: A): Tensor {
    return x.add(this.joining(this.branch.forward(this.norm.forward(x), ...rest)));
  }
}

/** norm(x + branch(x)): the original Transformer's placement. What follows x goes to the branch. [..., dim] -> [..., dim]. Vaswani et al. 2017, arXiv 1706.03762. */
export class PostNorm<A extends readonly unknown[] = readonly []> extends Residual<A> {
  forward(x: Tensor, ...rest: A): Tensor {
    return this.normOfSum(this.joining(this.branch.forward(x, ...rest)), x);
  }
}

/** x + norm(branch(x)): the stream itself is never normed, nor is what the branch reads. OLMo et al. 2025, arXiv 2501.00656. */
export class OutputNorm<A extends readonly unknown[] = readonly []> extends Residual<A> {
  forward(x: Tensor, ...rest: A): Tensor {
    return x.add(this.joining(this.norm.forward(this.branch.forward(x, ...rest))));
  }
}

/** x + outputNorm(branch(norm(x))): a norm before the branch and one after it, at "outputNorm". Gemma Team 2024, arXiv 2408.00118; Kim et al. 2025, arXiv 2502.02732 (Peri-LN). */
export class SandwichNorm<A extends readonly unknown[] = readonly []> extends Residual<A> {
  readonly outputNorm: Norm;

  constructor({ outputNorm, ...options }: ResidualOptions<A> & { readonly outputNorm: Norm }) {
    super(options);
    this.outputNorm = outputNorm;
  }

  forward(x: Tensor, ...rest: A): Tensor {
    return x.add(this.joining(this.outputNorm.forward(this.branch.forward(this.norm.forward(x), ...rest))));
  }
}

/**
 * norm(alpha x + branch(x)) with alpha from `deepNormConstants`: post-norm for a thousand layers, if the branch's weights begin smaller by beta. What follows x goes to the branch. Wang et
 * al. 2022, arXiv 2203.00555.
 */
export class DeepNorm<A extends readonly unknown[] = readonly []> extends Residual<A> {
  readonly alpha: number;

  constructor({ alpha, ...options }: ResidualOptions<A> & { readonly alpha: number }) {
    super(options);
    expectPositive("DeepNorm", { alpha });
    this.alpha = alpha;
  }

  forward(x: Tensor, ...rest: A): Tensor {
    return this.normOfSum(this.joining(this.branch.forward(x, ...rest)), x.mul(this.alpha));
  }
}
