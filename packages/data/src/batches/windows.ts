import { DataError, integer } from "../errors.ts";

/** Token ids in memory: whatever typed array is small enough for the vocabulary. */
export type Tokens = Uint8Array | Uint16Array | Uint32Array | Int32Array;

/** Inputs and targets for next-token prediction: targets[r, t] is the token after inputs[r, t]. */
export interface TextBatch {
  /** [batch, context], row after row. */
  readonly inputs: Int32Array;
  /** [batch, context], row after row. */
  readonly targets: Int32Array;
  readonly shape: readonly [batch: number, context: number];
}

/** The batch of the windows that begin at `starts`, each `context` tokens long. */
export function windowBatch(tokens: Tokens, starts: readonly number[], context: number): TextBatch {
  const inputs = new Int32Array(starts.length * context);
  const targets = new Int32Array(starts.length * context);
  starts.forEach((start, row) => {
    inputs.set(tokens.subarray(start, start + context), row * context);
    targets.set(tokens.subarray(start + 1, start + 1 + context), row * context);
  });
  return { inputs, targets, shape: [starts.length, context] };
}

/** Checks what every source of windows is given: room for one window and its last target. */
export function checkWindows(who: string, tokens: Tokens, batch: number, context: number): void {
  integer(who, "batch", batch, 1);
  integer(who, "context", context, 1);
  if (tokens.length > context) return;
  const found = tokens.length === 0 ? "there are none" : `there are ${tokens.length}`;
  throw new DataError(
    `${who}: a window of context ${context} takes ${context + 1} tokens (the last is only a target), but ${found}. ` +
      "Give a longer text, or a shorter context.",
  );
}
