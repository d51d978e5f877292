import type { CausalLM } from "@x/nn";
import { countTargets, crossEntropy } from "@x/ops";
import { compile, type Device, defaultDevice, type Hosted, type Tensor } from "@x/tensor";
import type { LossSum } from "./train-step.ts";
import { turns } from "./turns.ts";

/** A batch of token windows, as a loss function sees it: i32 [batch, length] each; a target of -100 does not count. */
export type TokenBatch = { readonly inputs: Tensor; readonly targets: Tensor };

/** Windows as @x/data makes them, row-major. */
export interface TokenWindows {
  readonly inputs: Int32Array;
  readonly targets: Int32Array;
  /** [batch, length] */
  readonly shape: readonly number[];
}

/** Windows as arguments of a step. */
export const tokenBatch = ({ inputs, targets, shape }: TokenWindows): Hosted<TokenBatch> => ({
  inputs: { data: inputs, shape },
  targets: { data: targets, shape },
});

/** Cross-entropy of the next token, summed over the targets that count: the `loss` of a `trainStep`. */
export const languageLoss =
  (model: CausalLM) =>
  ({ inputs, targets }: TokenBatch): LossSum => {
    const loss = crossEntropy({ logits: model.forward(inputs), targets });
    return { sum: loss.sum(), count: countTargets(targets) };
  };

/** Mean losses over windows, out of training mode. */
export interface Evaluator {
  /** Every target weighs the same, however windows are batched. Undefined when `signal` stopped it. NaN where no target counts. */
  (windows: Iterable<TokenWindows>, options?: { readonly signal?: AbortSignal | undefined }): Promise<number | undefined>;
  /** Gives back what the compiled evaluation holds. */
  release(): void;
}

/** Evaluates a model; the compiled step is kept from call to call. */
export function evaluator(model: CausalLM, { device = defaultDevice("evaluator") }: { readonly device?: Device } = {}): Evaluator {
  const step = compile(languageLoss(model), { name: "evaluate", device });
  const evaluate = async (
    windows: Iterable<TokenWindows>,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<number | undefined> => {
    const turn = turns();
    let sum = 0;
    let count = 0;
    for (const window of windows) {
      if (signal?.aborted) return undefined;
      const read = step(tokenBatch(window));
      const [lossSum, targets] = await Promise.all([read.sum.item(), read.count.item()]);
      for (const reading of Object.values(read)) reading.dispose();
      sum += lossSum;
      count += targets;
      await turn();
    }
    return count === 0 ? Number.NaN : sum / count;
  };
  return Object.assign(evaluate, { release: () => step.release() });
}
