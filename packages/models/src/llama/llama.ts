import {
  type AttentionCache,
  KvCache,
  type KvCacheOptions,
  type LayerCache,
  type Pattern,
  SelfAttention,
  SlidingKvCache,
  window,
} from "@x/attention";
import { type CausalLM, Embedding, expectCounts, GatedMLP, Linear, type ModelState, Module, normal } from "@x/nn";
import { RMSNorm } from "@x/norm";
import type { Activation } from "@x/ops";
import { type RopeScaling, RotaryPositions } from "@x/posenc";
import { arange, ShapeError, type Tensor } from "@x/tensor";

export interface LlamaConfig {
  readonly vocabSize: number;
  readonly maxLength: number;
  readonly dim: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads?: number;
  readonly headDim?: number;
  readonly hiddenDim: number;
  readonly eps?: number;
  readonly activation?: Activation;
  /** Base of the rotary frequencies. */
  readonly ropeBase?: number;
  readonly ropeScaling?: RopeScaling;
  /** Biases of the query, key and value projections, and of the output projection. */
  readonly attentionBias?: boolean;
  readonly outputBias?: boolean;
  readonly mlpBias?: boolean;
  /** Of attention's weights, while training. */
  readonly attentionDropout?: number;
  /** RMS norm of each head's queries and keys before the rotation, as Qwen3 has it. */
  readonly queryKeyNorm?: boolean;
  /** Positions that a token sees, itself included; all before it if absent. */
  readonly window?: number | undefined;
  /** Which layers have the window; all if absent. */
  readonly windowedLayers?: readonly boolean[] | undefined;
  readonly tied?: boolean;
}

export interface LlamaOptions {
  /** i32 [length] or [batch, length]; counted from 0 (or from the state's length) if absent. */
  readonly positions?: Tensor;
  /** bool [batch, length]: true where a token may be seen. */
  readonly keyMask?: Tensor;
  readonly state?: ModelState;
  readonly lastOnly?: boolean;
  /** The length that a dynamic rotation goes by, where positions do not say it. */
  readonly total?: number;
}

interface LayerOptions {
  readonly positions: Tensor;
  readonly keyMask: Tensor | undefined;
  readonly cache: LayerCache | undefined;
  readonly total: number;
}

class Layer extends Module {
  readonly norm1: RMSNorm;
  readonly attention: SelfAttention;
  readonly norm2: RMSNorm;
  readonly mlp: GatedMLP;

  constructor(config: LlamaConfig, rotation: RotaryPositions, pattern: Pattern | undefined) {
    super();
    const {
      dim,
      numHeads,
      numKvHeads = numHeads,
      headDim = dim / numHeads,
      hiddenDim,
      eps = 1e-6,
      activation = "silu",
      attentionBias = false,
      outputBias = attentionBias,
      mlpBias = false,
    } = config;
    const init = normal(0.02);
    const headNorm = () => (config.queryKeyNorm ? new RMSNorm({ dim: headDim, eps }) : undefined);
    this.norm1 = new RMSNorm({ dim, eps });
    this.attention = new SelfAttention({
      dim,
      numHeads,
      numKvHeads,
      headDim,
      causal: true,
      pattern,
      bias: attentionBias,
      outputBias,
      init,
      rotation,
      dropout: config.attentionDropout,
      queryNorm: headNorm(),
      keyNorm: headNorm(),
    });
    this.norm2 = new RMSNorm({ dim, eps });
    this.mlp = new GatedMLP({ dim, hiddenDim, activation, bias: mlpBias, init });
  }

  forward(x: Tensor, options: LayerOptions): Tensor {
    const { y, sum } = this.norm2.addNorm(this.attention.forward(this.norm1.forward(x), options), x);
    return this.mlp.forward(y, { residual: sum });
  }
}

/**
 * The Llama family: RMS norm before each branch, rotary positions, gated feed-forward, shared key-value heads; with norms on queries and keys it is Qwen3, with a window
 * Mistral. tokens i32 [batch, length] -> logits [batch, length, vocabSize]. Touvron et al. 2023, arXiv 2302.13971.
 */
export class Llama extends Module implements CausalLM {
  readonly config: LlamaConfig;
  readonly vocabSize: number;
  /** None under dynamic scaling, which stretches with the sequence. */
  readonly maxLength: number | undefined;
  readonly tokens: Embedding;
  readonly rotation: RotaryPositions;
  readonly layers: readonly Layer[];
  readonly norm: RMSNorm;
  readonly head: Linear | undefined;

  constructor(config: LlamaConfig) {
    super();
    const {
      vocabSize,
      maxLength,
      dim,
      numLayers,
      numHeads,
      headDim = dim / numHeads,
      eps = 1e-6,
      ropeBase = 10_000,
      ropeScaling = { type: "default" },
      tied = false,
    } = config;
    checkWindow(config);
    this.config = config;
    this.vocabSize = vocabSize;
    this.maxLength = ropeScaling.type === "dynamic" ? undefined : maxLength;
    this.tokens = new Embedding({ vocabSize, dim, init: normal(0.02) });
    this.rotation = new RotaryPositions({ headDim, maxLength, base: ropeBase, scaling: ropeScaling });
    // One pattern for all layers, so that they share what is built for it.
    const seen = config.window === undefined ? undefined : window(config.window - 1);
    this.layers = Array.from({ length: numLayers }, (_, i) => new Layer(config, this.rotation, isWindowed(config, i) ? seen : undefined));
    this.norm = new RMSNorm({ dim, eps });
    this.head = tied ? undefined : new Linear({ inputDim: dim, outputDim: vocabSize, bias: false, init: normal(0.02) });
  }

  forward(tokens: Tensor, options: LlamaOptions = {}): Tensor {
    return this.logits(this.hiddenStates(tokens, options).at(-1)!, options);
  }

  /** What enters the first layer, what leaves each layer, the last one after the final norm: numLayers + 1 of [batch, length, dim]. */
  hiddenStates(tokens: Tensor, { positions, keyMask, state, total }: LlamaOptions = {}): Tensor[] {
    const length = tokens.shape[1];
    if (tokens.shape.length !== 2 || length === undefined)
      throw new ShapeError(`Llama: tokens must be [batch, length], got [${tokens.shape.join(", ")}].`);
    const cache = state as AttentionCache | undefined;
    cache?.checkRoom(tokens.shape, this.maxLength);
    const at = positions ?? cache?.positions(length) ?? arange(length, { device: tokens.device });
    // Rows that have ended may be stepped past the last position, beside others that go on.
    const all = total ?? (cache ? Math.min(cache.length + length, this.maxLength ?? Number.POSITIVE_INFINITY) : length);
    let x = this.tokens.forward(tokens);
    const states = [x];
    for (const [i, layer] of this.layers.entries()) {
      x = layer.forward(x, { positions: at, keyMask, cache: cache?.layers[i], total: all });
      states.push(x);
    }
    cache?.advance(length);
    states[states.length - 1] = this.norm.forward(x);
    return states;
  }

  /** [batch, length, dim] -> logits [batch, length, vocabSize] */
  logits(hidden: Tensor, { lastOnly = false }: Pick<LlamaOptions, "lastOnly"> = {}): Tensor {
    const length = hidden.shape[1]!;
    const x = lastOnly ? hidden.slice(1, length - 1, length) : hidden;
    return this.head ? this.head.forward(x) : this.tokens.attend(x);
  }

  /** Makes the rotation's tables ready for sequences of `length`; the result changes when they were replaced, which ends what was compiled with them. */
  prepare(length: number): number {
    return this.rotation.prepare(length).cos.shape[0]!;
  }

  /** A cache for generating: what the layers see, and no more, unless `cache` makes another of what it is given, as `(heads) => new QuantizedKvCache(heads)`. */
  initState({ batch, capacity, cache }: LlamaState): AttentionCache {
    const { dim, numLayers, numHeads, numKvHeads = numHeads, headDim = dim / numHeads, window } = this.config;
    const heads = { batch, capacity, numLayers, numKvHeads, headDim, device: this.tokens.weight.device };
    if (cache) return cache(heads);
    const slides = window !== undefined && window < capacity && this.layers.every((_, i) => isWindowed(this.config, i));
    return slides ? new SlidingKvCache({ ...heads, window }) : new KvCache(heads);
  }
}

export interface LlamaState {
  readonly batch: number;
  readonly capacity: number;
  readonly cache?: (options: KvCacheOptions) => AttentionCache;
}

function checkWindow({ window, windowedLayers, numLayers }: LlamaConfig): void {
  if (window !== undefined) expectCounts("Llama", { window });
  if (windowedLayers && windowedLayers.length !== numLayers)
    throw new ShapeError(`Llama: windowedLayers must say it of each of the ${numLayers} layers, got ${windowedLayers.length}.`);
}

const isWindowed = ({ window, windowedLayers }: LlamaConfig, layer: number): boolean =>
  window !== undefined && (windowedLayers?.[layer] ?? true);
