import { aux, DTypeError, defineOp, maybe, one, out, ShapeError, type Spec, show, statisticsOf, Tensor, type TensorLike } from "@x/tensor";
import { expectFloat, expectStatistics, lastOf, rowsOf } from "./expect.ts";

function check(who: string, logits: Spec, targets: Spec): void {
  expectFloat(who, "logits", logits);
  if (lastOf(who, "logits", logits) === 0) throw new ShapeError(`${who}: logits ${show(logits.shape)} have no classes.`);
  if (targets.dtype !== "i32") throw new DTypeError(`${who}: targets must be i32, got ${targets.dtype}.`);
  if (show(logits.shape.slice(0, -1)) !== show(targets.shape))
    throw new ShapeError(
      `${who}: targets must be ${show(logits.shape.slice(0, -1))} to match logits ${show(logits.shape)}, got ${show(targets.shape)}.`,
    );
}

/**
 * -log softmax(logits)[target] for every position, 0 where the target is `ignoreIndex`. logits [..., vocabSize], targets i32 [...] -> [...], f32. No probabilities are
 * kept: the gradient computes them again from the log-sum-exp.
 */
export const crossEntropy = defineOp({
  name: "crossEntropy",
  inputs: { logits: one(), targets: one() },
  attrs: { ignoreIndex: -100 },
  outputs: { loss: out(), logSumExp: aux() },
  infer: ({ logits, targets }) => {
    check("crossEntropy", logits, targets);
    return { loss: rowsOf(logits), logSumExp: rowsOf(logits) };
  },
  reference: ({ logits, targets }, { ignoreIndex }) => {
    const wide = logits.cast(statisticsOf(logits.dtype));
    const largest = wide.max(-1, { keepDims: true });
    const logSumExp = wide.sub(largest).exp().sum(-1).log().add(largest.squeeze(-1));
    const valid = targets.ne(ignoreIndex);
    const picked = wide.gather(valid.where(targets, targets.zerosLike()).unsqueeze(-1), -1).squeeze(-1);
    const loss = logSumExp.sub(picked);
    return { loss: valid.where(loss, loss.zerosLike()), logSumExp };
  },
  saves: ["logits", "targets", "logSumExp"],
  grad: ({ saved: { logits, targets, logSumExp }, attrs, upstream }) => ({
    logits: crossEntropyBackward({ logits, targets, logSumExp, dLoss: upstream.loss, dLogSumExp: upstream.logSumExp }, attrs),
  }),
});

/** (softmax - onehot) * dLoss where the target counts, plus softmax * dLogSumExp, in one pass over the logits. */
export const crossEntropyBackward = defineOp({
  name: "crossEntropyBackward",
  inputs: { logits: one(), targets: one(), logSumExp: one(), dLoss: maybe(), dLogSumExp: maybe() },
  attrs: { ignoreIndex: -100 },
  outputs: { dLogits: out() },
  infer: ({ logits, targets, ...rows }) => {
    check("crossEntropyBackward", logits, targets);
    for (const name of ["logSumExp", "dLoss", "dLogSumExp"] as const)
      if (rows[name]) expectStatistics("crossEntropyBackward", name, rows[name], logits, "logits");
    return { dLogits: logits };
  },
  reference: ({ logits, targets, logSumExp, dLoss, dLogSumExp }, { ignoreIndex }) => {
    const wide = logits.cast(logSumExp.dtype);
    const p = wide.sub(logSumExp.unsqueeze(-1)).exp();
    const valid = targets.ne(ignoreIndex);
    const counted = dLoss && valid.where(dLoss, dLoss.zerosLike());
    const onRow = counted && dLogSumExp ? counted.add(dLogSumExp) : (counted ?? dLogSumExp ?? logSumExp.zerosLike());
    const spread = p.mul(onRow.unsqueeze(-1));
    if (!counted) return { dLogits: spread.cast(logits.dtype) };
    const index = valid.where(targets, targets.zerosLike()).unsqueeze(-1);
    const atTarget = counted.unsqueeze(-1).scatterAdd(index, -1, logits.shape.at(-1)!);
    return { dLogits: spread.sub(atTarget).cast(logits.dtype) };
  },
});

/** The mean of cross-entropy over the targets that count; 0 where none does. */
export function meanCrossEntropy(logits: TensorLike, targets: TensorLike, { ignoreIndex = -100 }: { ignoreIndex?: number } = {}): Tensor {
  const loss = crossEntropy({ logits, targets }, { ignoreIndex });
  return loss.sum().div(countTargets(targets, ignoreIndex).cast(loss.dtype).maximum(1));
}

/** How many targets are not `ignoreIndex`, i32. */
export function countTargets(targets: TensorLike, ignoreIndex = -100): Tensor {
  const list = Tensor.isTensor(targets) ? targets : targets.value;
  return list.ne(ignoreIndex).cast("i32").sum();
}
