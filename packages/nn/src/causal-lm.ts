import type { Tensor } from "@x/tensor";

/** What a model carries from call to call while it generates: cells, one set for a batch. Nothing of it is held in the module. */
export interface ModelState {
  readonly batch: number;
  /** Positions the state has room for. */
  readonly capacity: number;
  /** Positions filled, padding included, by the host's count. */
  readonly length: number;
  /** A copy that goes its own way. */
  fork(): ModelState;
  /** Rows in another order, repeated or left out: beams. The batch stays. Their numbers suffice everywhere; where the host keeps accounts of rows, they are needed. */
  gather(rows: Tensor | ArrayLike<number>): void;
  /** A state of its own with these rows, in any number: prompts repeated for beams. */
  select(rows: readonly number[]): ModelState;
  /** Tells the host that a compiled step has filled `count` more positions; where the model runs uncompiled, it counts by itself. */
  counted(count: number): void;
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
  /**
   * Makes ready what depends on how long a sequence is, cached positions included; to be called before each compiled step of a model that has it. A result other than
   * before means that recorded steps no longer hold: make it a static of the step.
   */
  prepare?(length: number): number;
}
