import type { LogitsProcessor } from "./processors.ts";

/** Token ids of one prompt. */
export type Prompt = readonly number[] | Int32Array;

/** Why a row ended: an end token, its length limit, a stop string, or the abort signal. */
export type FinishReason = "eos" | "length" | "stop" | "abort";

/** What sampling and beam search share. A row's limits are its own: they do not depend on the rows beside it. */
export interface CommonOptions {
  /** The most tokens to generate per row. One of this, `maxLength` and the decoder's `maxLength` is needed; the smallest rules. */
  maxNewTokens?: number;
  /** The most tokens of a row, its prompt included. */
  maxLength?: number;
  /** End tokens are forbidden until a row has generated this many tokens. Default 0. */
  minNewTokens?: number;
  /** The end token, or several. The one that ends a row is part of its tokens, not of its text. */
  eos?: number | readonly number[];
  /** Stands in for finished rows. Default: the first end token, else 0. */
  pad?: number;
  /** See `repetitionPenalty`. Default 1. */
  repetitionPenalty?: number;
  /** See `noRepeatNgram`. Default: off. */
  noRepeatNgram?: number;
  /** See `forcedTokens`. */
  forcedTokens?: readonly number[];
  /** See `forcedEos`. */
  forcedEos?: number;
  /** Your own processors, applied after those above and before the temperature. */
  processors?: readonly LogitsProcessor[];
  /** Ends the run before its next model call; what was generated is returned. */
  signal?: AbortSignal;
}

/** Options of `generate`, `stream` and `streamText`. */
export interface GenerateOptions extends CommonOptions {
  /** 0 (the default) takes the likeliest token; above 0 draws from the scores divided by it. */
  temperature?: number;
  /** See `topK`. Default: all tokens. */
  topK?: number;
  /** See `topP`. Default 1. */
  topP?: number;
  /** See `minP`. Default 0. */
  minP?: number;
  /** Seed of the draws, an integer from 0 to 2^53 - 1. Default 0. */
  seed?: number;
  /** Draws already made under this seed (`result.draw` of an earlier run), to go on where it ended. Default 0. */
  draw?: number;
  /** Text of token ids. Needed for text and for stop strings. Special tokens should decode to nothing. */
  decode?: (ids: number[]) => string;
  /** A row ends when its text holds one of these; its text ends before it. */
  stop?: string | readonly string[];
}

/** Options of `beamSearch`. */
export interface BeamOptions extends CommonOptions {
  /** Sequences kept at every step. */
  beams: number;
  /** How many of the best to return per prompt. Default 1. */
  returns?: number;
  /** A finished sequence scores sum(log p) / generatedTokens^lengthPenalty: above 0 favours longer ones. Default 1. */
  lengthPenalty?: number;
  /**
   * When a prompt is done, given `beams` finished sequences. true: at once. false (the default): when the best running one, were it
   * to end at its present length, cannot beat the worst finished. "never": when it could not even at its greatest length.
   */
  earlyStopping?: boolean | "never";
}
