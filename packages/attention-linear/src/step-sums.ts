import { noGrad, type Tensor } from "@x/tensor";
import type { Carried } from "./causal-sums.ts";
import { type KeysAndValues, type Sums, withFloor } from "./sums.ts";

/** Sums for one position more than what is carried: the recurrence as it is written, for decoding. What `causalSums` gives for one position, in fewer launches. */
export function stepSums(
  q: Tensor,
  given: KeysAndValues,
  { keySumEps, before }: { readonly keySumEps: number; readonly before: Carried },
): Sums & { readonly carried: Carried } {
  const { keys, v, present } = withFloor(given);
  const { values, logScale, floor } = keys;
  const [batch, heads, , features] = q.shape as [number, number, number, number];
  const kvHeads = v.shape[1]!;
  const stabilizer = logScale && noGrad(() => logScale.maximum(before.stabilizer!));
  const k = (stabilizer ? values.mul(logScale!.sub(stabilizer).exp()) : values).transpose();
  const decay = stabilizer && before.stabilizer!.sub(stabilizer).exp();
  const after = (sum: Tensor, more: Tensor) => (decay ? sum.mul(decay) : sum).add(more);
  const sums = after(before.sums, k.mul(v));
  const keySums = after(before.keySums, k);
  const rows = q.reshape([batch, kvHeads, heads / kvHeads, features]);
  const total = floor > 0 || keySumEps > 0 ? rows.sum(-1, { keepDims: true }) : undefined;
  const floors = floor > 0 ? { valueSum: before.valueSum!.add(v), keyCount: before.keyCount!.add(present ?? 1) } : undefined;
  const plus = (x: Tensor, sum: Tensor | undefined) => (sum ? x.add(total!.mul(floor).mul(sum)) : x);
  const numerator = plus(rows.matmul(sums), floors?.valueSum);
  const denominator = plus(rows.matmul(keySums), floors?.keyCount);
  return {
    numerator: numerator.reshape([batch, heads, 1, v.shape[3]!]),
    denominator: (keySumEps > 0 ? denominator.add(total!.mul(keySumEps)) : denominator).reshape([batch, heads, 1, 1]),
    stabilizer,
    carried: { sums, keySums, stabilizer, ...floors },
  };
}
