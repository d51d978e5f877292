import { currentGenerator, type Generator, type Tensor, TensorError } from "@x/tensor";

/**
 * Zeroes each element with probability p and scales the rest by 1 / (1 - p). The mask is a pending draw: nothing is stored, and the backward pass draws it again.
 * Draws come from `generator`, else from the running step's or the device's.
 * Srivastava et al. 2014, jmlr.org/papers/v15/srivastava14a.
 */
export function dropout(x: Tensor, p: number, { generator }: { generator?: Generator } = {}): Tensor {
  if (!(p >= 0 && p <= 1)) throw new TensorError(`dropout: p must be a probability from 0 to 1, got ${p}.`);
  if (p === 0) return x;
  if (p === 1) return x.zerosLike();
  const kept = (generator ?? currentGenerator("dropout")).uniform(x.shape).ge(p);
  return kept.where(x.mul(1 / (1 - p)), x.zerosLike());
}
