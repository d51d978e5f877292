import { AdaptiveEmbedding, AdaptiveLogSoftmax, type CausalLM, Dropout, type ModelState, Module, normal, parameter } from "@x/nn";
import { ones, type Parameter, ShapeError, show, Tensor, TensorError, zeros } from "@x/tensor";
import { Block } from "./block.ts";
import { type FullTransformerXLConfig, fullConfig, type TransformerXLConfig } from "./config.ts";
import { DistanceVectors } from "./distance-vectors.ts";
import { SegmentMemory } from "./segment-memory.ts";

export interface TransformerXLOptions {
  /** What came before; it takes the tokens in. */
  readonly state?: ModelState;
  /** bool [batch, length]: true where a token may be seen. A state is told its padding by `reset`. */
  readonly keyMask?: Tensor;
  /** Log-probabilities after the last position alone: all that generation needs. */
  readonly lastOnly?: boolean;
}

/**
 * Transformer-XL: segments over a memory of hidden states, relative positions, adaptive embedding and softmax. tokens i32 [batch, length] -> log-probabilities [batch, length, vocabSize], which serve as logits.
 * `losses` gives those of targets without the others. Dai et al. 2019, arXiv 1901.02860.
 */
export class TransformerXL extends Module implements CausalLM {
  readonly config: FullTransformerXLConfig;
  readonly vocabSize: number;
  /** It has no limit of its own. */
  readonly maxLength = undefined;
  readonly embedding: AdaptiveEmbedding;
  readonly dropout: Dropout;
  /** u and v [numHeads, headDim] of all layers, unless each has its own. */
  readonly u: Parameter | undefined;
  readonly v: Parameter | undefined;
  readonly blocks: readonly Block[];
  readonly softmax: AdaptiveLogSoftmax;
  readonly #distances: DistanceVectors;

  constructor(config: TransformerXLConfig) {
    super();
    const full = fullConfig(config);
    const { vocabSize, dim, numLayers, numHeads, headDim, dropout, untiedBiases, initDeviation, projectionDeviation } = full;
    this.config = full;
    this.vocabSize = vocabSize;
    const { cutoffs, embeddingDim, divValue, clusterOrder } = full;
    const inits = { init: normal(initDeviation), projectionInit: normal(projectionDeviation) };
    const words = { vocabSize, cutoffs, dim, embeddingDim, divValue, ...inits };
    this.embedding = new AdaptiveEmbedding(words);
    this.dropout = new Dropout({ p: dropout });
    const biases = untiedBiases
      ? undefined
      : { u: parameter([numHeads, headDim], inits.init), v: parameter([numHeads, headDim], inits.init) };
    this.u = biases?.u;
    this.v = biases?.v;
    this.blocks = Array.from({ length: numLayers }, () => new Block(full, biases));
    const tied = { embedding: this.embedding, tables: full.tied, projections: full.tiedProjections };
    this.softmax = new AdaptiveLogSoftmax({ ...words, clusterOrder, tied });
    this.#distances = new DistanceVectors(full);
  }

  forward(tokens: Tensor, options: TransformerXLOptions = {}): Tensor {
    return this.logits(this.hiddenStates(tokens, options).at(-1)!, options);
  }

  /** What enters the first block, and what leaves each block: numLayers + 1 of [batch, length, dim]. */
  hiddenStates(tokens: Tensor, { state, keyMask }: TransformerXLOptions = {}): Tensor[] {
    if (tokens.shape.length !== 2) throw new ShapeError(`TransformerXL: tokens must be [batch, length], got ${show(tokens.shape)}.`);
    if (keyMask && show(keyMask.shape) !== show(tokens.shape))
      throw new ShapeError(`TransformerXL: keyMask must be bool ${show(tokens.shape)} to match tokens, got ${show(keyMask.shape)}.`);
    if (state && keyMask)
      throw new TensorError(
        "TransformerXL: a keyMask beside a state would be forgotten with the segment. Tell the state with reset(padding).",
      );
    const carried = state as SegmentMemory | undefined;
    carried?.checkRoom(tokens.shape);
    const length = tokens.shape[1]!;
    const before = carried ? carried.slots : this.config.initMemory === "zeros" ? this.config.memoryLength : 0;
    const seen = carried ? carried.keyMask(length) : this.#seen(keyMask, before);
    const vectors = this.dropout.forward(this.#distances.of(before + length, tokens.device));
    const entering = (x: Tensor) => carried?.entering(x) ?? x;
    const states = [entering(this.dropout.forward(this.embedding.forward(tokens).mul(Math.sqrt(this.config.dim))))];
    for (const [i, block] of this.blocks.entries()) {
      const x = states.at(-1)!;
      const memory = carried ? carried.memory(i)?.cast(x.dtype) : this.#zeros(x, before);
      states.push(entering(block.forward(x, { memory, keyMask: seen, vectors })));
    }
    carried?.remember(states.slice(0, -1));
    states[states.length - 1] = this.dropout.forward(states.at(-1)!);
    return states;
  }

  /** [batch, length, dim] -> log-probabilities [batch, length, vocabSize] */
  logits(hidden: Tensor, { lastOnly = false }: Pick<TransformerXLOptions, "lastOnly"> = {}): Tensor {
    const length = hidden.shape[1]!;
    return this.softmax.forward(lastOnly ? hidden.slice(1, length - 1, length) : hidden);
  }

  /** -log p of each target, 0 where it is -100: tokens and targets i32 [batch, length] -> [batch, length]. For training: no logits of the whole vocabulary are kept. */
  losses(tokens: Tensor, targets: Tensor, options: Omit<TransformerXLOptions, "lastOnly"> = {}): Tensor {
    return this.softmax.losses(this.hiddenStates(tokens, options).at(-1)!, targets);
  }

  /** An empty memory; of any length to come if no capacity is given, as for training from batch to batch. */
  initState({ batch, capacity }: { readonly batch: number; readonly capacity?: number }): SegmentMemory {
    const { numLayers, dim, memoryLength, initMemory } = this.config;
    const { device } = this.embedding.tables[0]!;
    return new SegmentMemory({ batch, ...(capacity !== undefined && { capacity }), numLayers, dim, memoryLength, initMemory, device });
  }

  #zeros(x: Tensor, before: number): Tensor | undefined {
    return before === 0 ? undefined : zeros([x.shape[0]!, before, x.shape[2]!], x);
  }

  /** The mask of the tokens behind that of a memory that is seen. */
  #seen(keyMask: Tensor | undefined, before: number): Tensor | undefined {
    if (!keyMask || before === 0) return keyMask;
    return Tensor.concat([ones([keyMask.shape[0]!, before], keyMask), keyMask], 1);
  }
}
