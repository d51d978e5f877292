import { refuse } from "./errors.ts";
import { TopK } from "./top-k.ts";

/** What a processor may know of the row it works on. */
export interface RowContext {
  /** Prompt and generated tokens so far, without padding. A view: valid during the call. */
  readonly history: Int32Array;
  /** How many of them are the prompt. */
  readonly promptLength: number;
  /** The most tokens this row may generate. */
  readonly limit: number;
}

/** Changes one row of scores [vocab] in place: logits, or log-probabilities in beam search. -Infinity forbids a token. */
export type LogitsProcessor = (scores: Float32Array, context: RowContext) => void;

/**
 * Weakens tokens that occur in prompt or output: a score above 0 is divided by `penalty`, one below is multiplied, once however
 * often the token occurs. Above 1 discourages repetition, below 1 encourages it. https://arxiv.org/abs/1909.05858
 */
export function repetitionPenalty(penalty: number): LogitsProcessor {
  if (!(penalty > 0 && penalty < Infinity)) refuse("repetitionPenalty", "penalty", "a number above 0", penalty, "1 changes nothing.");
  const factor = Math.fround(penalty);
  return (scores, { history }) => {
    for (const token of new Set(history)) {
      const score = scores[token]!;
      scores[token] = score < 0 ? score * factor : score / factor;
    }
  };
}

/** Forbids every token that would complete an n-gram of `size` tokens which prompt or output already holds. */
export function noRepeatNgram(size: number): LogitsProcessor {
  if (!(Number.isInteger(size) && size > 0)) refuse("noRepeatNgram", "size", "an integer of at least 1", size);
  return (scores, { history }) => {
    const last = history.length - size + 1;
    for (let start = 0; start < last; start++) {
      let offset = 0;
      while (offset < size - 1 && history[start + offset] === history[last + offset]) offset++;
      if (offset === size - 1) scores[history[start + offset]!] = -Infinity;
    }
  };
}

/** Forbids the tokens `eos` until `count` tokens have been generated. */
export function minNewTokens(count: number, eos: readonly number[]): LogitsProcessor {
  return (scores, { history, promptLength }) => {
    if (history.length - promptLength < count) for (const token of eos) scores[token] = -Infinity;
  };
}

/** Forces the first generated tokens to be `tokens`, as an encoder-decoder's first token names its language. */
export function forcedTokens(tokens: readonly number[]): LogitsProcessor {
  return (scores, { history, promptLength }) => {
    const token = tokens[history.length - promptLength];
    if (token !== undefined) force(scores, token);
  };
}

/** Forces the last token that a row may generate to be `token`. */
export function forcedEos(token: number): LogitsProcessor {
  return (scores, { history, promptLength, limit }) => {
    if (history.length - promptLength === limit - 1) force(scores, token);
  };
}

function force(scores: Float32Array, token: number): void {
  scores.fill(-Infinity);
  scores[token] = 0;
}

/** Divides by `value`: below 1 sharpens, above 1 flattens. 0 is no division; `generate` takes it to mean greedy. */
export function temperature(value: number): LogitsProcessor {
  if (!(value > 0 && value < Infinity)) refuse("temperature", "value", "a number above 0", value, "Greedy decoding needs no processor.");
  const divisor = Math.fround(value);
  return (scores) => {
    for (let i = 0; i < scores.length; i++) scores[i] = scores[i]! / divisor;
  };
}

/** Keeps the `count` largest scores and all that equal the last of them. */
export function topK(count: number): LogitsProcessor {
  if (!(Number.isInteger(count) && count > 0))
    refuse("topK", "count", "an integer of at least 1", count, "Leave it out to keep all tokens.");
  return (scores) => {
    const best = new TopK(Math.min(count, scores.length));
    for (let i = 0; i < scores.length; i++) best.offer(scores[i]!, i);
    const floor = best.floor;
    for (let i = 0; i < scores.length; i++) if (scores[i]! < floor) scores[i] = -Infinity;
  };
}

/**
 * Keeps the smallest set of likeliest tokens that holds `mass` of the probability: from the unlikeliest up, tokens go while the
 * sum of those gone stays at or below 1 - mass. The likeliest always stays; of equals the lower index goes first.
 * https://arxiv.org/abs/1904.09751
 */
export function topP(mass: number): LogitsProcessor {
  if (!(mass >= 0 && mass <= 1)) refuse("topP", "mass", "between 0 and 1", mass, "1 keeps all tokens.");
  return (scores) => {
    if (mass === 1) return;
    const ascending = scores.filter((score) => score > -Infinity).sort();
    const top = ascending.at(-1)!;
    const weights = Float64Array.from(ascending, (score) => Math.exp(score - top));
    const budget = (1 - mass) * weights.reduce((sum, weight) => sum + weight, 0);
    let gone = 0;
    for (let sum = 0; gone < weights.length - 1; gone++) {
      sum += weights[gone]!;
      if (sum > budget) break;
    }
    const floor = ascending[gone]!;
    let equalsGone = gone - ascending.indexOf(floor);
    for (let i = 0; i < scores.length; i++) {
      if (scores[i]! < floor || (scores[i] === floor && equalsGone-- > 0)) scores[i] = -Infinity;
    }
  };
}

/** Keeps the tokens that are at least `ratio` times as probable as the likeliest. https://arxiv.org/abs/2407.01082 */
export function minP(ratio: number): LogitsProcessor {
  if (!(ratio >= 0 && ratio <= 1)) refuse("minP", "ratio", "between 0 and 1", ratio, "0 keeps all tokens.");
  return (scores) => {
    const top = scores.reduce((best, score) => Math.max(best, score), -Infinity);
    for (let i = 0; i < scores.length; i++) if (Math.exp(scores[i]! - top) < ratio) scores[i] = -Infinity;
  };
}
