import { expectCounts, isTraining, Module } from "@x/nn";
import { currentGenerator, type Tensor, TensorError } from "@x/tensor";

/**
 * Stochastic depth: while training, zeroes whole rows of the batch with probability p and scales the others by 1 / (1 - p), so that a branch is left out for some examples. [batch, ...] ->
 * [batch, ...]. Huang et al. 2016, arXiv 1603.09382.
 */
export class DropPath extends Module {
  readonly p: number;

  constructor({ p }: { readonly p: number }) {
    super();
    if (!(p >= 0 && p <= 1)) throw new TensorError(`DropPath: p must be a probability from 0 to 1, got ${p}.`);
    this.p = p;
  }

  forward(x: Tensor): Tensor {
    const { p } = this;
    if (p === 0 || !isTraining()) return x;
    if (p === 1) return x.zerosLike();
    const [batch = 1, ...others] = x.shape;
    const kept = currentGenerator("DropPath")
      .uniform([batch, ...others.map(() => 1)])
      .ge(p);
    return kept.where(x.mul(1 / (1 - p)), x.zerosLike());
  }
}

/** The probability of each layer, from 0 for the first to `p` for the last: the paper's linear rule. */
export function dropPathRates(layers: number, p: number): number[] {
  expectCounts("dropPathRates", { layers });
  return Array.from({ length: layers }, (_, layer) => (layers === 1 ? p : (p * layer) / (layers - 1)));
}
