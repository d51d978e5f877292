export { AdaptiveEmbedding } from "./adaptive-embedding.ts";
export { AdaptiveLogSoftmax, type AdaptiveLogSoftmaxOptions } from "./adaptive-log-softmax.ts";
export type { CausalLM, ModelState } from "./causal-lm.ts";
export type { AdaptiveOptions } from "./clusters.ts";
export { Dropout } from "./dropout.ts";
export { Embedding } from "./embedding.ts";
export { expectChoice, expectCounts, expectPositive } from "./expect.ts";
export { type FeedForwardOptions, GatedMLP, MLP, SwiGLU } from "./feed-forward.ts";
export { joinHeads, repeatHeads, splitHeads, unitValues } from "./heads.ts";
export {
  constant,
  fanInUniform,
  type Init,
  normal,
  onesInit,
  type ParameterOptions,
  parameter,
  uniform,
  xavierUniform,
  zerosInit,
} from "./init.ts";
export { Linear, type LinearOptions } from "./linear.ts";
export { cellAliases, cellPaths, Module, namedCells, namedModules } from "./module.ts";
export { type QuantizeLinearOptions, quantizeLinear } from "./quantize-linear.ts";
export { QuantizedLinear, type QuantizedLinearOptions, type WeightQuantization } from "./quantized-linear.ts";
export { bytesOf, SequenceState } from "./sequence-state.ts";
export { formatReport, type HostState, type LoadReport, loadStateDict, stateDict } from "./state-dict.ts";
export { isTraining, withTraining } from "./training.ts";
