import { type AttentionCache, KvCache, type KvCacheOptions, type LayerCache, SelfAttention } from "@x/attention";
import { type CausalLM, Dropout, Embedding, Linear, MLP, type ModelState, Module, normal, zerosInit } from "@x/nn";
import { LayerNorm } from "@x/norm";
import type { Activation } from "@x/ops";
import { LearnedPositions } from "@x/posenc";
import { arange, ShapeError, type Tensor } from "@x/tensor";

export interface GPT2Config {
  readonly vocabSize: number;
  readonly maxLength: number;
  readonly dim: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Width of the feed-forward; 4 dim if absent. */
  readonly hiddenDim?: number;
  readonly eps?: number;
  readonly activation?: Activation;
  /** Of what the branches add to the residual stream, and of the other two unless they are given. */
  readonly dropout?: number;
  /** Of tokens and positions. */
  readonly embeddingDropout?: number;
  /** Of attention's weights. */
  readonly attentionDropout?: number;
  /** Biases of linear layers and norms; without them it is nanoGPT's leaner variant. */
  readonly bias?: boolean;
  /** The output layer is the token table. */
  readonly tied?: boolean;
  /** Factor on the scores of layer i; 1 / sqrt(headDim) if absent. */
  readonly scale?: (layer: number) => number;
}

export interface GPT2Options {
  /** i32 [length] or [batch, length]; counted from 0 (or from the state's length) if absent. */
  readonly positions?: Tensor;
  /** bool [batch, length]: true where a token may be seen. */
  readonly keyMask?: Tensor;
  readonly state?: ModelState;
  /** Logits of the last position alone: all that generation needs. */
  readonly lastOnly?: boolean;
}

class Block extends Module {
  readonly norm1: LayerNorm;
  readonly attention: SelfAttention;
  readonly norm2: LayerNorm;
  readonly mlp: MLP;
  readonly dropout: Dropout;

  constructor(config: GPT2Config, layer: number) {
    super();
    const { dim, numHeads, numLayers, hiddenDim = 4 * dim, eps = 1e-5, activation = "geluTanh", dropout = 0, bias = true, scale } = config;
    const { attentionDropout = dropout } = config;
    // What ends in the residual stream starts smaller, by the number of branches that add to it. Radford et al. 2019, section 2.3.
    const inits = { init: normal(0.02), outputInit: normal(0.02 / Math.sqrt(2 * numLayers)), biasInit: zerosInit, bias };
    this.norm1 = new LayerNorm({ dim, eps, bias });
    this.attention = new SelfAttention({
      dim,
      numHeads,
      causal: true,
      dropout: attentionDropout,
      ...inits,
      ...(scale && { scale: scale(layer) }),
    });
    this.norm2 = new LayerNorm({ dim, eps, bias });
    this.mlp = new MLP({ dim, hiddenDim, activation, dropout, ...inits });
    this.dropout = new Dropout({ p: dropout });
  }

  forward(x: Tensor, { keyMask, cache }: { keyMask: Tensor | undefined; cache: LayerCache | undefined }): Tensor {
    const branch = this.dropout.forward(this.attention.forward(this.norm1.forward(x), { keyMask, cache }));
    const { y, sum } = this.norm2.addNorm(branch, x);
    return this.mlp.forward(y, { residual: sum });
  }
}

/** GPT-2: learned positions, pre-norm blocks, a tied output layer. tokens i32 [batch, length] -> logits [batch, length, vocabSize]. Radford et al. 2019. */
export class GPT2 extends Module implements CausalLM {
  readonly config: GPT2Config;
  readonly vocabSize: number;
  readonly maxLength: number;
  readonly tokens: Embedding;
  readonly positions: LearnedPositions;
  readonly dropout: Dropout;
  readonly blocks: readonly Block[];
  readonly norm: LayerNorm;
  readonly head: Linear | undefined;

  constructor(config: GPT2Config) {
    super();
    const { vocabSize, maxLength, dim, numLayers, eps = 1e-5, dropout = 0, embeddingDropout = dropout, bias = true, tied = true } = config;
    this.config = config;
    this.vocabSize = vocabSize;
    this.maxLength = maxLength;
    this.tokens = new Embedding({ vocabSize, dim, init: normal(0.02) });
    this.positions = new LearnedPositions({ maxLength, dim });
    this.dropout = new Dropout({ p: embeddingDropout });
    this.blocks = Array.from({ length: numLayers }, (_, layer) => new Block(config, layer));
    this.norm = new LayerNorm({ dim, eps, bias });
    this.head = tied ? undefined : new Linear({ inputDim: dim, outputDim: vocabSize, bias: false, init: normal(0.02) });
  }

  forward(tokens: Tensor, options: GPT2Options = {}): Tensor {
    return this.logits(this.hiddenStates(tokens, options).at(-1)!, options);
  }

  /** What enters the first block, what leaves each block, the last one after the final norm: numLayers + 1 of [batch, length, dim]. */
  hiddenStates(tokens: Tensor, { positions, keyMask, state }: GPT2Options = {}): Tensor[] {
    const length = tokens.shape[1];
    if (tokens.shape.length !== 2 || length === undefined)
      throw new ShapeError(`GPT2: tokens must be [batch, length], got [${tokens.shape.join(", ")}].`);
    const cache = state as AttentionCache | undefined;
    cache?.checkRoom(tokens.shape, this.maxLength);
    const at = positions ?? cache?.positions(length) ?? arange(length, { device: tokens.device });
    let x = this.dropout.forward(this.tokens.forward(tokens).add(this.positions.forward(at)));
    const states = [x];
    for (const [i, block] of this.blocks.entries()) {
      x = block.forward(x, { keyMask, cache: cache?.layers[i] });
      states.push(x);
    }
    cache?.advance(length);
    states[states.length - 1] = this.norm.forward(x);
    return states;
  }

  /** [batch, length, dim] -> logits [batch, length, vocabSize] */
  logits(hidden: Tensor, { lastOnly = false }: Pick<GPT2Options, "lastOnly"> = {}): Tensor {
    const length = hidden.shape[1]!;
    const x = lastOnly ? hidden.slice(1, length - 1, length) : hidden;
    return this.head ? this.head.forward(x) : this.tokens.attend(x);
  }

  /** A cache for generating; `cache` makes another of what it is given, as `(heads) => new QuantizedKvCache(heads)`. */
  initState({ batch, capacity, cache = (heads) => new KvCache(heads) }: GPT2State): AttentionCache {
    const { dim, numLayers, numHeads } = this.config;
    return cache({ batch, capacity, numLayers, numKvHeads: numHeads, headDim: dim / numHeads, device: this.tokens.weight.device });
  }
}

export interface GPT2State {
  readonly batch: number;
  readonly capacity: number;
  readonly cache?: (options: KvCacheOptions) => AttentionCache;
}
