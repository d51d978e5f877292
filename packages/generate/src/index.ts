export { beamSearch } from "./beam-search.ts";
export type { BeamSequence } from "./beam-state.ts";
export { type CausalDecoderOptions, causalDecoder } from "./causal-decoder.ts";
export { logitsChain } from "./chain.ts";
export type { DecodePlan, Decoder } from "./decoder.ts";
export { GenerateError } from "./errors.ts";
export { type Generated, type GeneratedRow, generate, type Step, stream, streamText } from "./generate.ts";
export { type LongTextOptions, streamLongText } from "./long-text.ts";
export type { BeamOptions, CommonOptions, FinishReason, GenerateOptions, Prompt } from "./options.ts";
export {
  forcedEos,
  forcedTokens,
  type LogitsProcessor,
  minNewTokens,
  minP,
  noRepeatNgram,
  type RowContext,
  repetitionPenalty,
  temperature,
  topK,
  topP,
} from "./processors.ts";
export { Sampler } from "./sampler.ts";
export { type Matched, StopMatcher } from "./stop-strings.ts";
export { TextStream } from "./text-stream.ts";
