import { expectChoice, expectCounts, type Init, isTraining, joinHeads, Linear, Module, splitHeads, unitValues } from "@x/nn";
import { and, attention, blockMap, causal as causalPattern, type Pattern } from "@x/ops";
import { currentGenerator, ShapeError, show, statisticsOf, type Tensor, TensorError } from "@x/tensor";
import type { CachedLook, LayerCache, NewHeads } from "./layer-cache.ts";
import { PatternScores } from "./pattern-scores.ts";

/** Turns queries and keys [batch, heads, length, headDim] by their positions; RotaryPositions is one. `total` is the sequence's length with what is cached. */
export interface Rotation extends Module {
  forward(x: Tensor, positions: Tensor, total?: number): Tensor;
  /** For keys, where they are turned otherwise than queries: xPos. */
  forwardKeys?(x: Tensor, positions: Tensor, total?: number): Tensor;
}
/** Normalises over the last axis: each head's queries or keys over headDim. */
export interface HeadNorm extends Module {
  forward(x: Tensor): Tensor;
}

/** Gives what is added to the scores by distance: f32 [numHeads, 2 reach + 1], entry d + reach where a key stands d after its query (ALiBi, T5). */
export interface DistanceBias extends Module {
  forward(reach: number): Tensor;
}

export interface AttentionOptions {
  readonly dim: number;
  readonly numHeads: number;
  /** Heads of keys and values, each shared by numHeads / numKvHeads query heads: 1 is multi-query, numHeads multi-head attention. */
  readonly numKvHeads?: number;
  readonly headDim?: number;
  readonly causal?: boolean;
  /** Factor on the scores; 1 / sqrt(headDim) if absent. */
  readonly scale?: number;
  readonly bias?: boolean;
  readonly outputBias?: boolean;
  readonly rotation?: Rotation | undefined;
  readonly queryNorm?: HeadNorm | undefined;
  readonly keyNorm?: HeadNorm | undefined;
  /** What both normalise over: each head, headDim wide (Qwen3), or all heads together, before they are split: numHeads headDim wide for queries, numKvHeads headDim for keys (OLMo 2, arXiv 2501.00656). */
  readonly normOver?: "head" | "heads";
  /** Who may look at whom; with `causal`, only backwards. Keep it: what is built for it is kept with it. */
  readonly pattern?: Pattern | undefined;
  readonly distanceBias?: DistanceBias | undefined;
  /** The scores become softcap tanh(scores / softcap). */
  readonly softcap?: number | undefined;
  /** Probability that a weight is zeroed while training. */
  readonly dropout?: number | undefined;
  readonly init?: Init;
  readonly outputInit?: Init;
  readonly biasInit?: Init;
  /** Width of what keys and values are made from, in cross-attention. */
  readonly memoryDim?: number;
}

export interface AttendOptions {
  /** i32 [length] or [batch, length], for the rotation; needed where there is one. */
  readonly positions?: Tensor | undefined;
  /** bool [batch, keys]: true where a key may be seen. */
  readonly keyMask?: Tensor | undefined;
  /** Keys and values of earlier calls. */
  readonly cache?: LayerCache | undefined;
  /** The sequence's length with what is cached; dynamic rotations go by it. */
  readonly total?: number | undefined;
}

/** What self- and cross-attention share: the projections, and the way from heads to the result. */
abstract class Heads extends Module {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly scale: number;
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
  readonly queryNorm: HeadNorm | undefined;
  readonly keyNorm: HeadNorm | undefined;
  readonly normOver: "head" | "heads";
  readonly pattern: Pattern | undefined;
  readonly distanceBias: DistanceBias | undefined;
  readonly softcap: number;
  readonly dropout: number;

  constructor(options: AttentionOptions) {
    super();
    const {
      dim,
      numHeads,
      numKvHeads = numHeads,
      headDim = dim / numHeads,
      bias = true,
      outputBias = bias,
      init,
      outputInit = init,
      biasInit,
      memoryDim = dim,
      softcap = 0,
      dropout = 0,
      normOver = "head",
    } = options;
    const who = new.target.name;
    expectChoice(who, "normOver", normOver, ["head", "heads"]);
    expectCounts(who, { dim, numHeads, numKvHeads, memoryDim, ...(options.headDim !== undefined && { headDim }) });
    if (!Number.isInteger(headDim))
      throw new ShapeError(`${who}: dim ${dim} must be a multiple of numHeads ${numHeads}, or headDim be given.`);
    if (numHeads % numKvHeads !== 0) throw new ShapeError(`${who}: numHeads ${numHeads} must be a multiple of numKvHeads ${numKvHeads}.`);
    if (options.scale !== undefined && !Number.isFinite(options.scale))
      throw new TensorError(`${who}: scale must be a finite number, got ${options.scale}.`);
    if (!(dropout >= 0 && dropout <= 1)) throw new TensorError(`${who}: dropout must be a probability from 0 to 1, got ${dropout}.`);
    if (!(softcap >= 0 && Number.isFinite(softcap)))
      throw new TensorError(`${who}: softcap must be the largest score, or 0 for none, got ${softcap}.`);
    this.pattern = options.pattern;
    this.distanceBias = options.distanceBias;
    this.softcap = softcap;
    this.dropout = dropout;
    this.numHeads = numHeads;
    this.numKvHeads = numKvHeads;
    this.headDim = headDim;
    this.scale = options.scale ?? 1 / Math.sqrt(headDim);
    const inits = { ...(init && { init }), ...(biasInit && { biasInit }) };
    this.query = new Linear({ inputDim: dim, outputDim: numHeads * headDim, bias, ...inits });
    this.key = new Linear({ inputDim: memoryDim, outputDim: numKvHeads * headDim, bias, ...inits });
    this.value = new Linear({ inputDim: memoryDim, outputDim: numKvHeads * headDim, bias, ...inits });
    this.output = new Linear({
      inputDim: numHeads * headDim,
      outputDim: dim,
      bias: outputBias,
      ...inits,
      ...(outputInit && { init: outputInit }),
    });
    this.queryNorm = options.queryNorm;
    this.keyNorm = options.keyNorm;
    this.normOver = normOver;
  }

  protected queries(x: Tensor): Tensor {
    this.#expect("x", x, this.query);
    return this.#heads(this.query.forward(x), this.numHeads, this.queryNorm);
  }

  protected keysAndValues(x: Tensor, name: string): { k: Tensor; v: Tensor } {
    this.#expect(name, x, this.key);
    const k = this.#heads(this.key.forward(x), this.numKvHeads, this.keyNorm);
    return { k, v: splitHeads(this.value.forward(x), this.numKvHeads) };
  }

  #heads(projected: Tensor, heads: number, norm: HeadNorm | undefined): Tensor {
    if (norm && this.normOver === "heads") return splitHeads(norm.forward(projected), heads);
    const split = splitHeads(projected, heads);
    return norm ? norm.forward(split) : split;
  }

  /** Heads to heads: [batch, numHeads, queries, headDim] over [batch, numKvHeads, keys, headDim]. */
  protected attend({ q, k, v }: NewHeads, keyMask: Tensor | undefined, causal = false): Tensor {
    const { scale, softcap, dropout, pattern } = this;
    const [queries, keys] = [q.shape[2]!, k.shape[2]!];
    const map = pattern && blockMap(pattern, { queries, keys, device: q.device });
    const bias = this.biasOf(q, Math.max(queries, keys, 1) - 1);
    const inputs = { q, k, v, keyMask, map, bias };
    const attrs = { scale, softcap, causal: causal && !map };
    if (dropout === 0 || !isTraining()) return attention(inputs, attrs);
    const generator = currentGenerator(this.constructor.name);
    return attention({ ...inputs, key: generator.key }, { ...attrs, dropout, ordinal: generator.nextOrdinal() });
  }

  /** What is added to the scores of q by distance, up to `reach`. */
  protected biasOf(q: Tensor, reach: number): Tensor | undefined {
    return this.distanceBias?.forward(reach).cast(statisticsOf(q.dtype));
  }

  #expect(name: string, { shape }: Tensor, { inputDim: dim }: Linear): void {
    if (shape.length !== 3 || shape[2] !== dim)
      throw new ShapeError(`${this.constructor.name}: ${name} must be [batch, length, ${dim}], got ${show(shape)}.`);
  }
}

/**
 * Self-attention over [batch, length, dim] -> [batch, length, dim], with shared key-value heads (MHA, GQA, MQA), rotary positions, norms on queries and keys, a pattern, a
 * bias by distance and a cache, each handed in. Vaswani et al. 2017, arXiv 1706.03762; Shazeer 2019, arXiv 1911.02150; Ainslie et al. 2023, arXiv 2305.13245.
 */
export class SelfAttention extends Heads {
  readonly causal: boolean;
  readonly rotation: Rotation | undefined;
  /** What a cache asks a pattern that is no window. */
  readonly #sees: PatternScores | undefined;

  constructor(options: Omit<AttentionOptions, "memoryDim">) {
    const { causal = false, pattern } = options;
    const looksBack = pattern?.band !== undefined && pattern.band.to <= 0;
    super({ ...options, pattern: causal && pattern && !looksBack ? and(causalPattern(), pattern) : pattern });
    this.causal = causal;
    this.rotation = options.rotation;
    this.#sees = this.pattern && !this.pattern.band ? new PatternScores(this.pattern) : undefined;
  }

  forward(x: Tensor, options: AttendOptions = {}): Tensor {
    const { keyMask, cache } = options;
    const heads = this.#heads(x, options);
    const o = cache ? cache.attend(heads, this.#look(heads.q)) : this.attend(heads, keyMask, this.causal);
    return this.output.forward(joinHeads(o));
  }

  /**
   * What each query weighs of each key, [batch, numHeads, length, length]: rows sum to 1, and times the values of their heads they give what `forward` joins and projects. Fused kernels never hold it: it is what they
   * make of unit vectors in the place of values, so that whatever acts in `forward` acts here.
   */
  weights(x: Tensor, options: Omit<AttendOptions, "cache"> = {}): Tensor {
    const heads = this.#heads(x, options);
    return this.attend({ ...heads, v: unitValues(heads.v) }, options.keyMask, this.causal);
  }

  #heads(x: Tensor, { positions, total }: AttendOptions): NewHeads {
    const q = this.#turn(this.queries(x), positions, total);
    const { k, v } = this.keysAndValues(x, "x");
    return { q, k: this.#turn(k, positions, total, "forwardKeys"), v };
  }

  /** What a cache has to know; whatever would change what is computed and cannot act over one is refused, not left out. */
  #look(q: Tensor): CachedLook {
    const { scale, softcap, pattern, dropout } = this;
    const sees = this.#sees;
    if (!this.causal) throw new TensorError("SelfAttention: a cache needs causal attention; set causal: true.");
    sees?.expectCached("SelfAttention");
    if (pattern?.repeats)
      throw new TensorError(
        "SelfAttention: pattern does not act over a cache, as it counts keys more than once. Leave the cache out and attend to the whole sequence, or name each block once.",
      );
    const from = pattern?.band?.from ?? Number.NEGATIVE_INFINITY;
    if (dropout > 0 && isTraining())
      throw new TensorError(
        "SelfAttention: dropout does not act over a cache. Leave the cache out, or wrap the call in withTraining(false, ...).",
      );
    return {
      ...{ scale, softcap, window: Number.isFinite(from) ? 1 - from : 0 },
      ...(sees && { sees: (queries, keys) => sees.between(queries, keys).ge(0) }),
      bias: (reach) => this.biasOf(q, reach),
      whole: (heads, keyMask) => this.attend(heads, keyMask, true),
    };
  }

  #turn(x: Tensor, positions: Tensor | undefined, total: number | undefined, by: "forward" | "forwardKeys" = "forward"): Tensor {
    if (!this.rotation) return x;
    if (!positions) throw new TensorError("SelfAttention: positions are needed for its rotation. Pass { positions: arange(length) }.");
    return this.rotation[by]?.(x, positions, total) ?? this.rotation.forward(x, positions, total);
  }
}

/** Attention from x [batch, length, dim] to a memory [batch, keys, memoryDim] -> [batch, length, dim]: a decoder looking at its encoder. */
export class CrossAttention extends Heads {
  forward(x: Tensor, memory: Tensor, { keyMask }: Pick<AttendOptions, "keyMask"> = {}): Tensor {
    const { k, v } = this.keysAndValues(memory, "memory");
    return this.output.forward(joinHeads(this.attend({ q: this.queries(x), k, v }, keyMask)));
  }
}
