import { DataError, show } from "../errors.ts";
import { checkWindows, type TextBatch, type Tokens, windowBatch } from "./windows.ts";

/** The target that counts for nothing: what cross-entropy leaves out by default, in PyTorch as here. */
export const IGNORED_TARGET = -100;

export interface EvaluationOptions {
  /** The validation text, as token ids, [length]. */
  tokens: Tokens;
  batch: number;
  context: number;
  /** The last batch, where the windows are no multiple of it: `smaller`, or `padded` with rows whose targets are -100. Default `smaller`. */
  last?: "smaller" | "padded";
}

/** A batch of consecutive windows. */
export interface EvaluationBatch extends TextBatch {
  /** Targets that count: windows in this batch times context. */
  readonly count: number;
}

/**
 * All consecutive windows of a text, in order: window i takes the tokens from i * context on. Tokens at the end that make no
 * whole window are left out. The mean loss is the sum over batches of (mean loss of the batch * count) over the sum of counts.
 */
export function evaluationWindows(options: EvaluationOptions): Generator<EvaluationBatch, void, undefined> {
  checkWindows("evaluationWindows", options.tokens, options.batch, options.context);
  return windows(options);
}

function* windows({ tokens, batch, context, last = "smaller" }: EvaluationOptions): Generator<EvaluationBatch, void, undefined> {
  const total = Math.floor((tokens.length - 1) / context);
  for (let first = 0; first < total; first += batch) {
    const rows = Math.min(batch, total - first);
    const starts = Array.from({ length: rows }, (_, row) => (first + row) * context);
    const whole = windowBatch(tokens, starts, context);
    yield { ...(last === "padded" ? padded(whole, batch) : whole), count: rows * context };
  }
}

function padded({ inputs, targets, shape: [rows, context] }: TextBatch, batch: number): TextBatch {
  const fill = (from: Int32Array, value: number) => {
    const all = new Int32Array(batch * context).fill(value, rows * context);
    all.set(from);
    return all;
  };
  return { inputs: fill(inputs, 0), targets: fill(targets, IGNORED_TARGET), shape: [batch, context] };
}

/**
 * Cuts a text into a training and a validation part: the last `validation` of it (a fraction; default 0.1) is for validation,
 * cut where nanoGPT cuts, at floor(length * (1 - validation)). Both are views of `tokens`.
 */
export function splitTokens<T extends Tokens>(tokens: T, { validation = 0.1 }: { validation?: number } = {}): { train: T; validation: T } {
  if (!(validation > 0 && validation < 1)) {
    throw new DataError(`splitTokens: validation must be a fraction between 0 and 1, got ${show(validation)}.`);
  }
  const cut = Math.floor(tokens.length * (1 - validation));
  if (cut === 0 || cut === tokens.length) {
    throw new DataError(
      `splitTokens: ${tokens.length} tokens cannot be split with validation ${validation}: one part would be empty. Give a longer text.`,
    );
  }
  return { train: tokens.subarray(0, cut) as T, validation: tokens.subarray(cut) as T };
}
