import type { Init } from "@x/nn";
import { ShapeError, TensorError } from "@x/tensor";

export interface LongformerOptions {
  readonly dim: number;
  readonly numHeads: number;
  readonly headDim?: number;
  /** Both sides of the window together, as Hugging Face counts: a query sees half of it on either side, and itself. Even. Published models have one number for each layer. */
  readonly attentionWindow?: number;
  /** One side of the window, as allenai's code counts. One of the two is given. */
  readonly reach?: number;
  /** Steps from key to key of a window, for all heads or for each; 1 if absent. */
  readonly dilation?: number | readonly number[];
  /** Queries see what is past alone, of global tokens too. */
  readonly causal?: boolean;
  /** "sliding" windows; or "noOverlap": blocks of one side that see themselves and their neighbours, allenai's sliding_chunks_no_overlap, which is another pattern. */
  readonly mode?: "sliding" | "noOverlap";
  /** Positions that are global in every entry of a batch. */
  readonly globalTokens?: readonly number[];
  /** The most global tokens of an entry where a call brings a mask of them; an entry with more gives NaN. 64 if absent: block maps have blocks of 64, so fewer gain nothing. */
  readonly globalSlots?: number;
  /** Whether global tokens have projections of their own; without, they use those of all. */
  readonly globalProjections?: boolean;
  /** Factor on the scores; 1 / sqrt(headDim) if absent. */
  readonly scale?: number;
  readonly bias?: boolean;
  readonly outputBias?: boolean;
  /** Probability that a weight is zeroed while training. */
  readonly dropout?: number;
  readonly init?: Init;
  readonly outputInit?: Init;
}

/** One side of the window. */
export function reachOf(who: string, { attentionWindow, reach }: LongformerOptions): number {
  if ((attentionWindow === undefined) === (reach === undefined))
    throw new TensorError(
      `${who}: give attentionWindow (both sides together, as Hugging Face) or reach (one side), got ${reach === undefined ? "neither" : "both"}.`,
    );
  if (attentionWindow !== undefined && !(Number.isInteger(attentionWindow) && attentionWindow > 0 && attentionWindow % 2 === 0))
    throw new TensorError(
      `${who}: attentionWindow must be an even number of keys from 2 on, got ${attentionWindow}. Half of it is one side.`,
    );
  if (reach !== undefined && !(Number.isInteger(reach) && reach > 0))
    throw new TensorError(`${who}: reach must be a number of keys from 1 on, got ${reach}.`);
  return reach ?? attentionWindow! / 2;
}

/** Steps of each head; one number where all heads have the same. */
export function dilationOf(who: string, { dilation = 1, numHeads, mode }: LongformerOptions): readonly number[] {
  const steps = typeof dilation === "number" ? [dilation] : dilation;
  const wrong = steps.find((step) => !(Number.isInteger(step) && step > 0));
  if (wrong !== undefined) throw new TensorError(`${who}: dilation must be steps of 1 position or more, got ${wrong}.`);
  if (typeof dilation !== "number" && steps.length !== numHeads)
    throw new ShapeError(`${who}: dilation must be one number, or one for each of the ${numHeads} heads, got ${steps.length}.`);
  if (mode === "noOverlap" && steps.some((step) => step !== 1))
    throw new TensorError(`${who}: mode "noOverlap" has no dilation, got ${steps.join(", ")}. Leave it out, or take mode "sliding".`);
  return steps.every((step) => step === steps[0]) ? [steps[0]!] : steps;
}

/** Global positions in order, each once. */
export function tokensOf(who: string, { globalTokens = [] }: LongformerOptions): readonly number[] {
  const wrong = globalTokens.find((token) => !(Number.isInteger(token) && token >= 0));
  if (wrong !== undefined) throw new TensorError(`${who}: globalTokens must be positions from 0 on, got ${wrong}.`);
  return [...new Set(globalTokens)].sort((a, b) => a - b);
}
