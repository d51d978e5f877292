import { expectChoice, expectCounts } from "@x/nn";
import { ShapeError, TensorError } from "@x/tensor";

export interface TransformerXLConfig {
  /** Words, the most frequent first. */
  readonly vocabSize: number;
  readonly dim: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** dim / numHeads if absent. */
  readonly headDim?: number;
  /** Width of the feed-forward; 4 dim if absent. */
  readonly hiddenDim?: number;
  /** The first word of each cluster of the vocabulary but the first; none if absent. */
  readonly cutoffs?: readonly number[];
  /** Numbers for a word of the first cluster; dim if absent. */
  readonly embeddingDim?: number;
  /** A word of cluster i has embeddingDim / divValue^i numbers; 1 if absent. */
  readonly divValue?: number;
  /** The output layer is the token tables; true if absent. */
  readonly tied?: boolean;
  /** For each cluster whether its projection at the output is that of the input; the published model shares all but the first, which is meant if absent. */
  readonly tiedProjections?: readonly boolean[];
  /** Which output stands for which cluster: see AdaptiveLogSoftmax. */
  readonly clusterOrder?: "ascending" | "descending";
  /** Positions before a segment that it sees; 0 for none. */
  readonly memoryLength: number;
  /** Further distances count as this one. */
  readonly clampLength?: number | undefined;
  /** Every token sees memoryLength positions, its own among them, instead of the memory and what came in its segment. */
  readonly sameLength?: boolean;
  /** Before the first token stands nothing (the paper's code), or a memory of zeros that are seen (transformers). Empty if absent. */
  readonly initMemory?: "empty" | "zeros";
  /** Norms stand before the branches, and none at the end. */
  readonly preNorm?: boolean;
  /** Each layer has biases u and v of its own; true if absent. */
  readonly untiedBiases?: boolean;
  readonly eps?: number;
  /** Of embeddings, vectors of distances, branches, hidden units and the result. */
  readonly dropout?: number;
  /** Of attention's weights. */
  readonly attentionDropout?: number;
  /** Standard deviation of first weights; 0.02 if absent. */
  readonly initDeviation?: number;
  /** Of the projections between clusters and the model; 0.01 if absent. */
  readonly projectionDeviation?: number;
}

export type FullTransformerXLConfig = Required<TransformerXLConfig>;

/** With everything said, and checked. */
export function fullConfig(config: TransformerXLConfig): FullTransformerXLConfig {
  const { dim, numHeads, cutoffs = [] } = config;
  const full: FullTransformerXLConfig = {
    headDim: dim / numHeads,
    hiddenDim: 4 * dim,
    cutoffs,
    embeddingDim: dim,
    divValue: 1,
    tied: true,
    tiedProjections: [false, ...cutoffs.map(() => true)],
    clusterOrder: "ascending",
    clampLength: undefined,
    sameLength: false,
    initMemory: "empty",
    preNorm: false,
    untiedBiases: true,
    eps: 1e-5,
    dropout: 0,
    attentionDropout: 0,
    initDeviation: 0.02,
    projectionDeviation: 0.01,
    ...config,
  };
  const { vocabSize, numLayers, headDim, hiddenDim, memoryLength, sameLength, clampLength, initMemory } = full;
  const who = "TransformerXL";
  expectCounts(who, { vocabSize, dim, numLayers, numHeads, hiddenDim, ...(clampLength !== undefined && { clampLength }) });
  if (dim % 2 !== 0) throw new ShapeError(`${who}: dim must be even, for sines and cosines of distances, got ${dim}.`);
  if (!Number.isInteger(headDim))
    throw new ShapeError(`${who}: dim ${dim} must be a multiple of numHeads ${numHeads}, or headDim be given.`);
  expectChoice(who, "initMemory", initMemory, ["empty", "zeros"]);
  if (!Number.isSafeInteger(memoryLength) || memoryLength < 0)
    throw new TensorError(`${who}: memoryLength must be a whole number from 0, got ${memoryLength}.`);
  if (sameLength && memoryLength === 0)
    throw new TensorError(
      `${who}: with sameLength a token sees memoryLength positions, which is 0. Give memoryLength, or leave sameLength out.`,
    );
  return full;
}
