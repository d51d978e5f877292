import type { CommonOptions, GenerateOptions } from "./options.ts";
import {
  forcedEos,
  forcedTokens,
  type LogitsProcessor,
  minNewTokens,
  minP,
  noRepeatNgram,
  repetitionPenalty,
  temperature,
  topK,
  topP,
} from "./processors.ts";

/**
 * The processors of a run in the order of Hugging Face transformers, which is part of the contract: repetition penalty, n-grams,
 * minimum length, forced tokens, the caller's own; then, where tokens are drawn, temperature, top-k, top-p, min-p.
 */
export function logitsChain(options: CommonOptions | GenerateOptions, eos: readonly number[]): LogitsProcessor[] {
  const chain: LogitsProcessor[] = [];
  const { repetitionPenalty: penalty = 1, noRepeatNgram: ngram, minNewTokens: least = 0 } = options;
  if (penalty !== 1) chain.push(repetitionPenalty(penalty));
  if (ngram !== undefined) chain.push(noRepeatNgram(ngram));
  if (least > 0) chain.push(minNewTokens(least, eos));
  if (options.forcedTokens !== undefined) chain.push(forcedTokens(options.forcedTokens));
  if (options.forcedEos !== undefined) chain.push(forcedEos(options.forcedEos));
  chain.push(...(options.processors ?? []));
  return [...chain, ...samplingChain(options)];
}

function samplingChain(options: GenerateOptions): LogitsProcessor[] {
  const { temperature: heat = 0, topK: count, topP: mass, minP: ratio } = options;
  // The filters never remove the likeliest token, so at temperature 0 they could change nothing.
  if (heat === 0) return [];
  const chain: LogitsProcessor[] = [];
  if (heat !== 1) chain.push(temperature(heat));
  if (count !== undefined) chain.push(topK(count));
  if (mass !== undefined) chain.push(topP(mass));
  if (ratio !== undefined) chain.push(minP(ratio));
  return chain;
}
