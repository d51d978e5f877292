import { Dropout, expectCounts, type Init, joinHeads, Linear, Module, splitHeads, unitValues } from "@x/nn";
import { type Pattern, window } from "@x/ops";
import { ShapeError, show, Tensor, TensorError } from "@x/tensor";
import type { FeatureMap } from "./features.ts";
import { attend, checkMask, type KernelAttention, type KernelSettings, settingsFor } from "./linear.ts";
import type { LinearLayerCache, LinearStateShape } from "./linear-state.ts";
import { localAttention } from "./local.ts";

/** Turns queries and keys [batch, heads, length, headDim] by their positions; RotaryPositions is one. `total` is the sequence's length with what a cache holds. */
export interface Rotation extends Module {
  forward(x: Tensor, positions: Tensor, total?: number): Tensor;
  /** For keys, where they are turned otherwise than queries: xPos. */
  forwardKeys?(x: Tensor, positions: Tensor, total?: number): Tensor;
}
/** Normalises over the last axis: each head's queries or keys over headDim. */
export interface HeadNorm extends Module {
  forward(x: Tensor): Tensor;
}

export interface LinearAttentionOptions extends KernelAttention {
  readonly dim: number;
  readonly numHeads: number;
  /** Heads of keys and values, each shared by numHeads / numKvHeads query heads, which share its features too. */
  readonly numKvHeads?: number;
  readonly headDim?: number;
  /** The kernel in the place of exp(scores), or what makes it for a headDim. */
  readonly features: FeatureMap | ((headDim: number) => FeatureMap);
  /** How many heads, the last ones, have softmax attention in a window instead. */
  readonly localHeads?: number;
  /** How many keys before its own a local query sees, and after it where attention is not causal. */
  readonly localWindow?: number;
  readonly rotation?: Rotation | undefined;
  readonly queryNorm?: HeadNorm | undefined;
  readonly keyNorm?: HeadNorm | undefined;
  readonly bias?: boolean;
  readonly outputBias?: boolean;
  /** Probability that an element of the result is zeroed while training: there are no weights to thin. */
  readonly dropout?: number;
  readonly init?: Init;
  readonly outputInit?: Init;
  readonly biasInit?: Init;
}

export interface LinearAttendOptions {
  /** i32 [length] or [batch, length], for the rotation; needed where there is one. */
  readonly positions?: Tensor | undefined;
  /** bool [batch, length]: true where a key may be seen. */
  readonly keyMask?: Tensor | undefined;
  /** What earlier calls add up to: a layer of a LinearState. */
  readonly cache?: LinearLayerCache | undefined;
  /** The sequence's length with what the cache holds; dynamic rotations go by it. */
  readonly total?: number | undefined;
}

type Heads = Readonly<Record<"q" | "k" | "v", Tensor>>;

/** Self-attention with a kernel that splits into features, linear in length. [batch, length, dim] -> [batch, length, dim]; see `linearAttention` for what is computed between the projections. */
export class LinearAttention extends Module {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly localHeads: number;
  readonly localWindow: number;
  readonly settings: KernelSettings;
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
  readonly features: FeatureMap;
  readonly rotation: Rotation | undefined;
  readonly queryNorm: HeadNorm | undefined;
  readonly keyNorm: HeadNorm | undefined;
  readonly dropout: Dropout;
  readonly #pattern: Pattern;

  constructor(options: LinearAttentionOptions) {
    super();
    const who = new.target.name;
    const { dim, numHeads, numKvHeads = numHeads, headDim = dim / numHeads, localHeads = 0, localWindow = 256 } = options;
    const { bias = true, outputBias = bias, init, outputInit = init, biasInit } = options;
    expectCounts(who, { dim, numHeads, numKvHeads, localWindow, ...(options.headDim !== undefined && { headDim }) });
    if (!Number.isInteger(headDim))
      throw new ShapeError(`${who}: dim ${dim} must be a multiple of numHeads ${numHeads}, or headDim be given.`);
    if (numHeads % numKvHeads !== 0) throw new ShapeError(`${who}: numHeads ${numHeads} must be a multiple of numKvHeads ${numKvHeads}.`);
    checkLocal(who, localHeads, numHeads, numHeads / numKvHeads);
    const features = typeof options.features === "function" ? options.features(headDim) : options.features;
    if (features.headDim !== headDim)
      throw new ShapeError(`${who}: features are made for a headDim of ${features.headDim}, the layer's is ${headDim}. Make both alike.`);
    this.settings = settingsFor(who, features, options);
    this.numHeads = numHeads;
    this.numKvHeads = numKvHeads;
    this.headDim = headDim;
    this.localHeads = localHeads;
    this.localWindow = localWindow;
    const inits = { ...(init && { init }), ...(biasInit && { biasInit }) };
    this.query = new Linear({ inputDim: dim, outputDim: numHeads * headDim, bias, ...inits });
    this.key = new Linear({ inputDim: dim, outputDim: numKvHeads * headDim, bias, ...inits });
    this.value = new Linear({ inputDim: dim, outputDim: numKvHeads * headDim, bias, ...inits });
    this.output = new Linear({ inputDim: numHeads * headDim, outputDim: dim, bias: outputBias, ...inits, init: outputInit });
    this.features = features;
    this.rotation = options.rotation;
    this.queryNorm = options.queryNorm;
    this.keyNorm = options.keyNorm;
    this.dropout = new Dropout({ p: options.dropout ?? 0 });
    this.#pattern = window(localWindow, this.settings.causal ? 0 : localWindow);
  }

  /** What a LinearState keeps for this layer. */
  get stateShape(): LinearStateShape {
    const { featureDim, scaled, floored } = this.features;
    const localKvHeads = this.#localKvHeads;
    const kvHeads = this.numKvHeads - localKvHeads;
    return { kvHeads, headDim: this.headDim, featureDim, scaled, floored, localKvHeads, localWindow: this.localWindow };
  }

  get #localKvHeads(): number {
    return (this.localHeads * this.numKvHeads) / this.numHeads;
  }

  forward(x: Tensor, options: LinearAttendOptions = {}): Tensor {
    const heads = this.#heads(x, options);
    if (options.cache) this.#checkCached(options.cache.shape);
    const o = this.#mixed(heads, options);
    return this.dropout.forward(this.output.forward(joinHeads(o)));
  }

  /**
   * What each query weighs of each key, [batch, numHeads, length, length]: its kernel's values, divided by their sum where the layer normalizes. Times the values of their heads they give what `forward` joins and projects.
   * It is what the layer makes of unit vectors in the place of values, so it costs the square of the length that the layer is made to avoid.
   */
  weights(x: Tensor, options: Omit<LinearAttendOptions, "cache"> = {}): Tensor {
    const heads = this.#heads(x, options);
    return this.#mixed({ ...heads, v: unitValues(heads.v) }, options);
  }

  #heads(x: Tensor, { positions, keyMask, total }: LinearAttendOptions): Heads {
    const dim = this.query.inputDim;
    if (x.shape.length !== 3 || x.shape[2] !== dim)
      throw new ShapeError(`${this.constructor.name}: x must be [batch, length, ${dim}], got ${show(x.shape)}.`);
    checkMask(this.constructor.name, keyMask, x.shape.slice(0, 2));
    const [q, k] = [splitHeads(this.query.forward(x), this.numHeads), splitHeads(this.key.forward(x), this.numKvHeads)];
    return {
      q: this.#turn(this.queryNorm?.forward(q) ?? q, positions, total),
      k: this.#turn(this.keyNorm?.forward(k) ?? k, positions, total, "forwardKeys"),
      v: splitHeads(this.value.forward(x), this.numKvHeads),
    };
  }

  #mixed(heads: Heads, { keyMask, cache }: LinearAttendOptions): Tensor {
    const [wide, near] = this.#apart(heads);
    const whole = this.#attend(wide, keyMask, cache);
    return near ? Tensor.concat([whole, this.#attendNear(near, keyMask, cache)], 1) : whole;
  }

  /** Heads that see everything, and those that see a window. */
  #apart({ q, k, v }: Heads): [Heads, Heads | undefined] {
    if (this.localHeads === 0) return [{ q, k, v }, undefined];
    const [heads, kvHeads] = [this.numHeads - this.localHeads, this.numKvHeads - this.#localKvHeads];
    const first = { q: q.slice(1, 0, heads), k: k.slice(1, 0, kvHeads), v: v.slice(1, 0, kvHeads) };
    const last = (x: Tensor, from: number) => x.slice(1, from, x.shape[1]!);
    return [first, { q: last(q, heads), k: last(k, kvHeads), v: last(v, kvHeads) }];
  }

  #attend(heads: Heads, keyMask: Tensor | undefined, cache: LinearLayerCache | undefined): Tensor {
    const padding = cache?.keyMask(heads.q.shape[2]!);
    const mask = keyMask && padding ? keyMask.and(padding) : (keyMask ?? padding);
    const { o, carried } = attend({ ...heads, keyMask: mask }, this.features, this.settings, cache?.carried());
    if (carried) cache?.carry(carried);
    return o;
  }

  #attendNear({ q, k, v }: Heads, keyMask: Tensor | undefined, cache: LinearLayerCache | undefined): Tensor {
    const inputs = cache ? cache.recent({ k, v }) : { k, v, keyMask };
    return localAttention({ q, ...inputs }, this.#pattern, this.headDim ** -0.5);
  }

  /** What sums of the past cannot give is refused, not left out. */
  #checkCached(given: LinearStateShape): void {
    const who = this.constructor.name;
    if (!this.settings.causal) throw new TensorError(`${who}: a cache needs causal attention; set causal: true.`);
    if (this.settings.stabilizer === "global" && this.features.scaled)
      throw new TensorError(`${who}: over a cache later keys are not known; set stabilizer: "running".`);
    for (const [name, own] of Object.entries(this.stateShape)) {
      const other = given[name as keyof LinearStateShape];
      if (other !== own)
        throw new ShapeError(
          `${who}: the cache was made for another layer, whose ${name} is ${other}, not ${own}. Hand over the layers of a LinearState in the order in which it got them.`,
        );
    }
  }

  #turn(x: Tensor, positions: Tensor | undefined, total: number | undefined, by: "forward" | "forwardKeys" = "forward"): Tensor {
    if (!this.rotation) return x;
    if (!positions)
      throw new TensorError(`${this.constructor.name}: positions are needed for its rotation. Pass { positions: arange(length) }.`);
    return this.rotation[by]?.(x, positions, total) ?? this.rotation.forward(x, positions, total);
  }
}

function checkLocal(who: string, localHeads: number, numHeads: number, shared: number): void {
  if (!Number.isInteger(localHeads) || localHeads < 0 || localHeads >= numHeads)
    throw new ShapeError(
      `${who}: localHeads must be from 0 to ${numHeads - 1}, got ${localHeads}. Where all heads are local, SelfAttention of @x/attention with a window is the layer.`,
    );
  if (localHeads % shared !== 0)
    throw new ShapeError(`${who}: localHeads ${localHeads} must be a multiple of the ${shared} query heads that share keys.`);
}
