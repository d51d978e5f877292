import { type AttentionCache, KvCache, type KvCacheOptions } from "@x/attention";
import { LinearState, PerformerAttention } from "@x/attention-linear";
import { type CausalLM, Dropout, Embedding, Linear, type ModelState, Module, normal } from "@x/nn";
import type { Norm } from "@x/norm";
import type { Pattern } from "@x/ops";
import { LearnedPositions, SinusoidalPositions } from "@x/posenc";
import { arange, ShapeError, Tensor, TensorError } from "@x/tensor";
import { Block, normOf, readsThroughNorm } from "./block.ts";
import { type DecoderConfig, decoderConfig, type FullDecoderConfig } from "./config.ts";
import { type MixOptions, type Shared, sharedOf } from "./mixers.ts";
import { RelativePerformer } from "./relative-performer.ts";

export interface DecoderOptions {
  /** i32 [length] or [batch, length]; counted from 0 (or from the state's length) if absent. */
  readonly positions?: Tensor;
  /** bool [batch, length]: true where a token may be seen. */
  readonly keyMask?: Tensor;
  readonly state?: ModelState;
  /** Logits of the last position alone: all that generation needs. */
  readonly lastOnly?: boolean;
}

export interface DecoderStateOptions {
  readonly batch: number;
  readonly capacity: number;
  /** Makes another cache of keys and values than KvCache, as `(heads) => new QuantizedKvCache(heads)`. */
  readonly cache?: (options: KvCacheOptions) => AttentionCache;
}

/**
 * A causal language model put together from the catalogue: any mixer with any positions, norms, placement of norms and number of key-value heads. tokens i32 [batch, length] -> logits [batch, length,
 * vocabSize].
 */
export class Decoder extends Module implements CausalLM {
  readonly config: FullDecoderConfig;
  readonly vocabSize: number;
  readonly maxLength: number;
  readonly tokens: Embedding;
  readonly positions: LearnedPositions | SinusoidalPositions | undefined;
  readonly dropout: Dropout;
  readonly shared: Shared;
  readonly blocks: readonly Block[];
  /** Where the blocks leave the stream without a norm. */
  readonly norm: Norm | undefined;
  readonly head: Linear | undefined;

  constructor(config: DecoderConfig) {
    super();
    const full = decoderConfig(config);
    const { vocabSize, maxLength, dim, numLayers, position, dropout, tied } = full;
    this.config = full;
    this.vocabSize = vocabSize;
    this.maxLength = maxLength;
    this.tokens = new Embedding({ vocabSize, dim, init: normal(0.02) });
    this.positions =
      position === "learned"
        ? new LearnedPositions({ maxLength, dim })
        : position === "sinusoidal"
          ? new SinusoidalPositions({ maxLength, dim })
          : undefined;
    this.dropout = new Dropout({ p: dropout });
    this.shared = sharedOf(full);
    this.blocks = Array.from({ length: numLayers }, (_, layer) => new Block(full, layer, this.shared));
    this.norm = readsThroughNorm(full) ? normOf(full) : undefined;
    this.head = tied ? undefined : new Linear({ inputDim: dim, outputDim: vocabSize, bias: false, init: normal(0.02) });
  }

  forward(tokens: Tensor, options: DecoderOptions = {}): Tensor {
    return this.logits(this.hiddenStates(tokens, options).at(-1)!, options);
  }

  /** What enters the first block, what leaves each block, the last one after the final norm: numLayers + 1 of [batch, length, dim]. */
  hiddenStates(tokens: Tensor, options: DecoderOptions = {}): Tensor[] {
    const length = tokens.shape[1];
    if (tokens.shape.length !== 2 || length === undefined)
      throw new ShapeError(`Decoder: tokens must be [batch, length], got [${tokens.shape.join(", ")}].`);
    const { state } = options;
    const cache = state as AttentionCache | LinearState | undefined;
    cache?.checkRoom(tokens.shape, this.maxLength);
    if (!cache && length > this.maxLength)
      throw new ShapeError(
        `Decoder: ${length} tokens exceed the model's maxLength ${this.maxLength}. Shorten them, or make the model with a larger maxLength.`,
      );
    const positions = options.positions ?? cache?.positions(length) ?? arange(length, { device: tokens.device });
    const states = this.#run(tokens, { positions, keyMask: options.keyMask, cache });
    cache?.advance(length);
    return states;
  }

  #run(
    tokens: Tensor,
    { positions, keyMask, cache }: { positions: Tensor; keyMask?: Tensor | undefined; cache?: AttentionCache | LinearState | undefined },
  ): Tensor[] {
    const looked = this.tokens.forward(tokens);
    // Beside sinusoids of 1 the table's small numbers would be lost. Vaswani et al. 2017, section 3.4.
    const embedded = this.config.position === "sinusoidal" ? looked.mul(Math.sqrt(this.config.dim)) : looked;
    const first = this.dropout.forward(this.positions ? embedded.add(this.positions.forward(positions)) : embedded);
    const total = cache ? Math.min(cache.length + tokens.shape[1]!, this.maxLength) : undefined;
    const options = (layer: number): MixOptions => ({ positions, keyMask, cache: cache?.layers[layer] as MixOptions["cache"], total });
    const states =
      this.config.mixer === "xl" && !cache ? this.#bySegments(first, { positions, keyMask }) : this.#throughBlocks(first, options);
    if (this.norm) states[states.length - 1] = this.norm.forward(states.at(-1)!);
    return states;
  }

  #throughBlocks(first: Tensor, options: (layer: number) => MixOptions): Tensor[] {
    const states = [first];
    for (const [layer, block] of this.blocks.entries()) states.push(block.forward(states.at(-1)!, options(layer)));
    return states;
  }

  /** Segment after segment, each layer over what entered it before, which takes no gradient. Dai et al. 2019, section 3.2; all earlier segments of the window are remembered. */
  #bySegments(first: Tensor, { positions, keyMask }: { positions: Tensor; keyMask: Tensor | undefined }): Tensor[] {
    const length = first.shape[1]!;
    const before: Tensor[] = [];
    const segments: Tensor[][] = [];
    for (let start = 0; start < length; start += this.config.segment) {
      const end = Math.min(length, start + this.config.segment);
      const until = (x: Tensor) => x.slice(x.shape.length - 1, 0, end);
      const states = this.#throughBlocks(first.slice(1, start, end), (layer) => ({
        positions: until(positions),
        keyMask: keyMask && until(keyMask),
        memory: before[layer],
      }));
      segments.push(states);
      for (const [layer, x] of states.slice(0, -1).entries()) before[layer] = before[layer] ? Tensor.concat([before[layer], x], 1) : x;
    }
    if (segments.length === 1) return segments[0]!;
    return segments[0]!.map((_, i) =>
      Tensor.concat(
        segments.map((states) => states[i]!),
        1,
      ),
    );
  }

  /**
   * What each head of a layer weighs of each position, for tokens i32 [batch, length]: [batch, numHeads, length, length]. Rows sum to 1, and times the values of their heads they give what the layer joins and projects: softmax over
   * the layer's pattern, or a Performer's kernel. Segments make no difference, as each looks at all before it.
   */
  attentionWeights(tokens: Tensor, layer: number, options: Pick<DecoderOptions, "positions" | "keyMask"> = {}): Tensor {
    const block = this.blocks[layer];
    if (!block) throw new TensorError(`Decoder.attentionWeights: layer must be from 0 to ${this.blocks.length - 1}, got ${layer}.`);
    const positions = options.positions ?? arange(tokens.shape[1]!, { device: tokens.device });
    return block.weights(this.hiddenStates(tokens, { ...options, positions })[layer]!, { positions, keyMask: options.keyMask });
  }

  /** Who may look at whom in a layer: the pattern of its block map. */
  pattern(layer: number): Pattern {
    const block = this.blocks[layer];
    if (!block) throw new TensorError(`Decoder.pattern: layer must be from 0 to ${this.blocks.length - 1}, got ${layer}.`);
    return block.pattern;
  }

  /** [batch, length, dim] -> logits [batch, length, vocabSize] */
  logits(hidden: Tensor, { lastOnly = false }: Pick<DecoderOptions, "lastOnly"> = {}): Tensor {
    const length = hidden.shape[1]!;
    const x = lastOnly ? hidden.slice(1, length - 1, length) : hidden;
    return this.head ? this.head.forward(x) : this.tokens.attend(x);
  }

  /** A cache of keys and values, the sums of a Performer, or the features of one whose kernel depends on distances. */
  initState({ batch, capacity, cache }: DecoderStateOptions): ModelState {
    const { dim, numLayers, numHeads, numKvHeads, mixer, position } = this.config;
    const { device } = this.tokens.weight;
    const headDim = dim / numHeads;
    const heads = { batch, capacity, numLayers, numKvHeads, headDim, device };
    if (mixer !== "performer") return cache?.(heads) ?? new KvCache(heads);
    if (cache) throw new TensorError(`Decoder: mixer "${mixer}" with position "${position}" keeps no keys and values. Leave cache out.`);
    const layers = this.blocks.map(({ mixer }) => mixer);
    const [first] = layers;
    if (first instanceof RelativePerformer) return new KvCache({ ...heads, headDim: first.cachedDim, valueDim: headDim });
    return new LinearState({ batch, capacity, layers: layers.filter((layer) => layer instanceof PerformerAttention), device });
  }
}
