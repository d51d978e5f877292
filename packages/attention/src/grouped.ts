import { type Cell, ShapeError, scope, type Tensor } from "@x/tensor";
import type { SelfAttention } from "./attention.ts";

/**
 * Copies the weights of `from` into `to`, which has fewer heads of keys and values: each is the mean of those whose queries it serves now, or with "first" the first of them. After it, train on: the paper
 * takes 5 % of the original steps. Queries, output and norms are copied as they are. Ainslie et al. 2023, arXiv 2305.13245, section 2.1.
 */
export function copyAsGrouped(from: SelfAttention, to: SelfAttention, { mode = "mean" }: { readonly mode?: "mean" | "first" } = {}): void {
  const who = "copyAsGrouped";
  if (from.numHeads !== to.numHeads || from.headDim !== to.headDim)
    throw new ShapeError(
      `${who}: both must have the same heads of queries, got ${from.numHeads} of ${from.headDim} and ${to.numHeads} of ${to.headDim}.`,
    );
  if (from.numKvHeads % to.numKvHeads !== 0)
    throw new ShapeError(`${who}: ${from.numKvHeads} heads of keys cannot be pooled into ${to.numKvHeads}. Choose a divisor.`);
  const pooled = (x: Tensor): Tensor => {
    const grouped = x.reshape([to.numKvHeads, from.numKvHeads / to.numKvHeads, from.headDim, ...x.shape.slice(1)]);
    const heads = mode === "mean" ? grouped.mean(1) : grouped.slice(1, 0, 1).squeeze(1);
    return heads.reshape([to.numKvHeads * to.headDim, ...x.shape.slice(1)]);
  };
  const source = from.namedParameters();
  scope(() => {
    for (const [name, target] of to.namedParameters()) {
      const given: Cell | undefined = source.get(name);
      if (!given)
        throw new ShapeError(`${who}: ${name} of the second layer is not in the first. Make both with the same biases and norms.`);
      target.set(/^(key|value)\./.test(name) ? pooled(given.value) : given.value);
    }
  });
}
