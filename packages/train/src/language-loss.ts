import type { CausalLM } from "@x/nn";
import { countTargets, crossEntropy } from "@x/ops";
import { compile, type HostTensor, type Step, type Tensor } from "@x/tensor";
import type { LossSum } from "./train-step.ts";

/** A batch of token windows: i32 [batch, length] each; a target of -100 does not count. */
export interface TokenBatch {
  readonly inputs: HostTensor;
  readonly targets: HostTensor;
  readonly [name: string]: HostTensor;
}
interface Windows {
  readonly inputs: Int32Array;
  readonly targets: Int32Array;
  readonly shape: readonly number[];
}

/** Windows as @x/data makes them, as arguments of a step. */
export const tokenBatch = ({ inputs, targets, shape }: Windows): TokenBatch => ({
  inputs: { data: inputs, shape },
  targets: { data: targets, shape },
});

/** Cross-entropy of the next token, summed over the targets that count. */
export const languageLoss =
  (model: CausalLM) =>
  ({ inputs, targets }: { readonly inputs: Tensor; readonly targets: Tensor }): LossSum => {
    const loss = crossEntropy({ logits: model.forward(inputs), targets });
    return { sum: loss.sum(), count: countTargets(targets) };
  };

/** The mean loss of a model over windows, every target weighing the same. The compiled evaluation is kept for the next call. */
export function evaluator(model: CausalLM): (windows: Iterable<Windows>) => Promise<number> {
  let step: Step<TokenBatch, Record<string, never>, LossSum> | undefined;
  return async (windows) => {
    step ??= compile<TokenBatch, LossSum>((batch) => languageLoss(model)(batch as unknown as { inputs: Tensor; targets: Tensor }), {
      name: "evaluate",
    });
    let sum = 0;
    let count = 0;
    for (const window of windows) {
      const read = step(tokenBatch(window));
      sum += await read.sum.item();
      count += await read.count.item();
    }
    return count === 0 ? Number.NaN : sum / count;
  };
}
