import { expectCounts, type Init, isTraining, joinHeads, Linear, Module, normal, parameter, repeatHeads, splitHeads } from "@x/nn";
import { dropout, type Pattern, softmax } from "@x/ops";
import { arange, noGrad, type Parameter, ShapeError, show, Tensor, TensorError } from "@x/tensor";
import type { HeadNorm } from "./attention.ts";
import type { LayerCache } from "./layer-cache.ts";
import { PatternScores } from "./pattern-scores.ts";
import { type DistanceVectors, relativeScores, scoresByDistance } from "./relative-scores.ts";

export interface TransformerXLOptions {
  readonly dim: number;
  readonly numHeads: number;
  /** Heads of keys and values, each shared by numHeads / numKvHeads query heads. */
  readonly numKvHeads?: number;
  readonly headDim?: number;
  /** Needed by calls that are given no vectors. */
  readonly distances?: DistanceVectors | undefined;
  /** u and v [numHeads, headDim], to share them among layers; of its own if absent. */
  readonly biases?: { readonly u: Parameter; readonly v: Parameter } | undefined;
  /** Further distances count as this one. */
  readonly clampLength?: number | undefined;
  /** The length of memory: each query sees as many keys, itself among them, and none of those before. */
  readonly sameLength?: number | undefined;
  /** Who may look at whom, of those that are no later; the last query stands at the last key. */
  readonly pattern?: Pattern | undefined;
  /** Norms memory and input before they are projected. */
  readonly norm?: HeadNorm | undefined;
  /** Probability that a weight is zeroed while training. */
  readonly dropout?: number;
  readonly init?: Init;
  /** Of the last projection; `init` if absent. */
  readonly outputInit?: Init;
}

export interface SegmentOptions {
  /** [batch, any, dim]: what entered the layer before; none by itself. Zeros are a memory too, which is seen. */
  readonly memory?: Tensor | undefined;
  /** bool [batch, memory and length]: true where a key may be seen. */
  readonly keyMask?: Tensor | undefined;
  /** [memory and length, dim]: vectors of all distances, the farthest first, where layers share them; looked up in `distances` if absent. */
  readonly vectors?: Tensor | undefined;
  /** Keys and values of earlier calls, in the place of memory, keyMask and vectors. Distances beyond what `distances` holds count as its last. */
  readonly cache?: LayerCache | undefined;
}

/** What queries look at. */
interface Looked {
  /** [batch, numHeads, length, headDim] */
  readonly q: Tensor;
  /** [batch, numKvHeads, keys, headDim] */
  readonly k: Tensor;
  readonly v: Tensor;
  /** bool, broadcastable to [batch, 1, length, keys]: the keys that may be seen. */
  readonly seen: Tensor;
  /** [batch, numHeads, length, keys]: what distances add to the scores of queries q. */
  position(q: Tensor): Tensor;
  /** Scores of the pattern, broadcastable to the same. */
  readonly pattern: Tensor | undefined;
}

/**
 * Transformer-XL's causal attention over a memory of what came before: scores ((q_i + u) . k_j + (q_i + v) . W_R R_d) / sqrt(headDim), with d the distance back from query to key. x [batch, length, dim] ->
 * [batch, length, dim]. No gradient flows into the memory. Composed of products and a softmax: memory grows with length times keys. Dai et al. 2019, arXiv 1901.02860, section 3.3.
 */
export class TransformerXLAttention extends Module {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly clampLength: number;
  readonly sameLength: number | undefined;
  readonly dropout: number;
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly distance: Linear;
  readonly output: Linear;
  readonly u: Parameter;
  readonly v: Parameter;
  readonly distances: DistanceVectors | undefined;
  readonly norm: HeadNorm | undefined;
  readonly #pattern: PatternScores | undefined;

  constructor(options: TransformerXLOptions) {
    super();
    const { dim, numHeads, numKvHeads = numHeads, headDim = dim / numHeads, biases, clampLength, sameLength } = options;
    const { dropout: p = 0, init = normal(0.02), outputInit = init, pattern } = options;
    const who = "TransformerXLAttention";
    expectCounts(who, { dim, numHeads, numKvHeads });
    if (!Number.isInteger(headDim))
      throw new ShapeError(`${who}: dim ${dim} must be a multiple of numHeads ${numHeads}, or headDim be given.`);
    expectCounts(who, { headDim, ...(clampLength !== undefined && { clampLength }), ...(sameLength !== undefined && { sameLength }) });
    if (numHeads % numKvHeads !== 0) throw new ShapeError(`${who}: numHeads ${numHeads} must be a multiple of numKvHeads ${numKvHeads}.`);
    if (!(p >= 0 && p <= 1)) throw new TensorError(`${who}: dropout must be a probability from 0 to 1, got ${p}.`);
    this.numHeads = numHeads;
    this.numKvHeads = numKvHeads;
    this.headDim = headDim;
    this.clampLength = clampLength ?? Number.POSITIVE_INFINITY;
    this.sameLength = sameLength;
    this.dropout = p;
    const projection = (heads: number) => new Linear({ inputDim: dim, outputDim: heads * headDim, bias: false, init });
    this.query = projection(numHeads);
    this.key = projection(numKvHeads);
    this.value = projection(numKvHeads);
    this.distance = projection(numHeads);
    this.output = new Linear({ inputDim: numHeads * headDim, outputDim: dim, bias: false, init: outputInit });
    const bias = () => parameter([numHeads, headDim], init);
    const { u, v } = biases ?? { u: bias(), v: bias() };
    for (const [name, { shape }] of Object.entries({ u, v }))
      if (show(shape) !== show([numHeads, headDim]))
        throw new ShapeError(`${who}: ${name} must be [${numHeads}, ${headDim}], got ${show(shape)}.`);
    this.u = u;
    this.v = v;
    this.distances = options.distances;
    this.norm = options.norm;
    this.#pattern = pattern && new PatternScores(pattern);
  }

  forward(x: Tensor, options: SegmentOptions = {}): Tensor {
    const looked = options.cache ? this.#overCache(x, options.cache, options) : this.#overMemory(x, options);
    const weights = this.#weights(looked);
    const thin = this.dropout > 0 && isTraining() ? dropout(weights, this.dropout) : weights;
    return this.output.forward(joinHeads(thin.matmul(repeatHeads(looked.v, this.numHeads))));
  }

  /** What each query weighs of each key, those of the memory first: [batch, numHeads, length, memory and length]. Rows sum to 1, and times the values of their heads they give what `forward` joins and projects. */
  weights(x: Tensor, options: Omit<SegmentOptions, "cache"> = {}): Tensor {
    return this.#weights(this.#overMemory(x, options));
  }

  #overMemory(x: Tensor, options: SegmentOptions): Looked {
    const { keyMask, vectors } = options;
    const normed = this.#read(x, options);
    const [length, keys] = [x.shape[1]!, normed.shape[1]!];
    const { distance, distances, clampLength } = this;
    const at = arange(keys, { device: x.device });
    const past = this.#seen(at.slice(0, keys - length, keys), at);
    return {
      ...this.#heads(normed.slice(1, keys - length, keys), normed),
      seen: keyMask ? past.and(keyMask.reshape([-1, 1, 1, keys])) : past,
      position: (q) => relativeScores(q, { distance, distances, vectors, keys, clampLength }),
      pattern: this.#pattern?.forward(length, keys, x),
    };
  }

  /** What would act otherwise over a cache is refused, not left out. */
  #overCache(x: Tensor, cache: LayerCache, options: SegmentOptions): Looked {
    const given = (["memory", "keyMask", "vectors"] as const).find((name) => options[name] !== undefined);
    if (given)
      throw new TensorError(
        `TransformerXLAttention: ${given} does not act over a cache. Leave it out: the cache holds what came before, its padding (reset(padding)) and where it stands.`,
      );
    if (this.dropout > 0 && isTraining())
      throw new TensorError(
        "TransformerXLAttention: dropout does not act over a cache. Leave the cache out, or wrap the call in withTraining(false, ...).",
      );
    this.#pattern?.expectCached("TransformerXLAttention");
    const normed = this.#read(x, {});
    const { q, ...own } = this.#heads(normed, normed);
    const { k, v, queries, keys } = cache.append(own);
    const back = queries.unsqueeze(2).sub(keys.unsqueeze(1));
    return {
      ...{ q, k, v },
      seen: this.#seen(queries, keys).and(keys.ge(0).unsqueeze(1)).unsqueeze(1),
      position: (q) => scoresByDistance(q, back, this),
      pattern: this.#pattern?.between(queries, keys).unsqueeze(1),
    };
  }

  /** Memory and input, refused where they do not fit, after the norm where there is one. */
  #read(x: Tensor, { memory, keyMask }: SegmentOptions): Tensor {
    const dim = this.query.weight.shape[1]!;
    for (const [name, given] of Object.entries({ x, memory }))
      if (given && (given.shape.length !== 3 || given.shape[2] !== dim || given.shape[0] !== x.shape[0]))
        throw new ShapeError(
          `TransformerXLAttention: ${name} must be [${name === "x" ? "batch" : x.shape[0]}, length, ${dim}], got ${show(given.shape)}.`,
        );
    const all = memory ? Tensor.concat([noGrad(() => memory.copy()), x], 1) : x;
    const keys = all.shape[1]!;
    if (keyMask && show(keyMask.shape) !== show([x.shape[0]!, keys]))
      throw new ShapeError(`TransformerXLAttention: keyMask must be bool [${x.shape[0]}, ${keys}], got ${show(keyMask.shape)}.`);
    return this.norm?.forward(all) ?? all;
  }

  #heads(x: Tensor, all: Tensor) {
    const { numHeads, numKvHeads } = this;
    return {
      q: splitHeads(this.query.forward(x), numHeads),
      k: splitHeads(this.key.forward(all), numKvHeads),
      v: splitHeads(this.value.forward(all), numKvHeads),
    };
  }

  #weights({ q, k, seen, position, pattern }: Looked): Tensor {
    const more = (bias: Parameter) => q.add(bias.value.cast(q.dtype).unsqueeze(1));
    const content = more(this.u).matmul(repeatHeads(k, this.numHeads).transpose());
    const plain = content.add(position(more(this.v))).mul(this.headDim ** -0.5);
    const scores = pattern ? plain.add(pattern.cast(plain.dtype)) : plain;
    return softmax({ x: seen.expand(scores.shape).where(scores, -1e30) });
  }

  /** bool [..., length, keys]: queries [..., length] see keys [..., keys] that are no later, with `sameLength` so many. */
  #seen(queries: Tensor, keys: Tensor): Tensor {
    const [i, j] = [queries.unsqueeze(-1), keys.unsqueeze(-2)];
    const past = j.le(i);
    return this.sameLength === undefined ? past : past.and(j.gt(i.sub(this.sameLength)));
  }
}

/** The memory for the next segment: the last `length` positions of the memory and what entered the layer now. The layer stops gradients where it reads it. */
export function nextMemory(memory: Tensor | undefined, x: Tensor, length: number): Tensor {
  const all = memory ? Tensor.concat([memory, x], 1) : x;
  const have = all.shape[1]!;
  return all.slice(1, Math.max(0, have - length), have);
}
