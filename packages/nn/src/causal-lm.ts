import type { Tensor } from "@x/tensor";

/** What a model carries from call to call while it generates: cells, one set for a batch. Nothing of it is held in the module. */
export interface ModelState {
  readonly batch: number;
  /** Positions the state has room for. */
  readonly capacity: number;
  /** A copy that goes its own way. */
  fork(): ModelState;
  /** Rows in another order, repeated or left out: beams. The batch stays. */
  gather(rows: Tensor): void;
  /** Forgets what came after `length` positions. */
  truncate(length: number): void;
  /** Starts again with `padding[b]` left-padded positions in row b; what was is forgotten. */
  reset(padding?: ArrayLike<number>): void;
  /** Gives the memory back. */
  dispose(): void;
}

/** A model that predicts the next token. */
export interface CausalLM {
  readonly vocabSize: number;
  /** The most positions it can see; undefined: no limit of its own. */
  readonly maxLength: number | undefined;
  /** tokens i32 [batch, length] -> logits [batch, length, vocabSize]; with a state, of the positions that follow it. `lastOnly` gives [batch, 1, vocabSize]. */
  forward(
    tokens: Tensor,
    options?: { readonly state?: ModelState; readonly positions?: Tensor; readonly keyMask?: Tensor; readonly lastOnly?: boolean },
  ): Tensor;
  initState(options: { readonly batch: number; readonly capacity: number }): ModelState;
}
