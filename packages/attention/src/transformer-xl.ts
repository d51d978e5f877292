import { expectCounts, type Init, isTraining, joinHeads, Linear, Module, normal, parameter, repeatHeads, splitHeads } from "@x/nn";
import { dropout, type Pattern, softmax } from "@x/ops";
import { arange, noGrad, type Parameter, ShapeError, show, Tensor, TensorError } from "@x/tensor";
import type { HeadNorm } from "./attention.ts";
import { PatternScores } from "./pattern-scores.ts";
import { type DistanceVectors, relativeScores } from "./relative-scores.ts";

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
    const normed = this.#read(x, options);
    const weights = this.#weights(x, normed, options);
    const thin = this.dropout > 0 && isTraining() ? dropout(weights, this.dropout) : weights;
    return this.output.forward(joinHeads(thin.matmul(this.#shared(this.value, normed))));
  }

  /** What each query weighs of each key, those of the memory first: [batch, numHeads, length, memory and length]. Rows sum to 1, and times the values of their heads they give what `forward` joins and projects. */
  weights(x: Tensor, options: SegmentOptions = {}): Tensor {
    return this.#weights(x, this.#read(x, options), options);
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

  /** Heads of keys or values, each as often as query heads share it. */
  #shared(layer: Linear, normed: Tensor): Tensor {
    return repeatHeads(splitHeads(layer.forward(normed), this.numKvHeads), this.numHeads);
  }

  #weights(x: Tensor, normed: Tensor, { keyMask, vectors }: SegmentOptions): Tensor {
    const [length, keys] = [x.shape[1]!, normed.shape[1]!];
    const { numHeads, distance, distances, clampLength } = this;
    const q = splitHeads(this.query.forward(normed.slice(1, keys - length, keys)), numHeads);
    const more = (bias: Parameter) => q.add(bias.value.cast(q.dtype).unsqueeze(1));
    const k = this.#shared(this.key, normed);
    const content = more(this.u).matmul(k.transpose());
    const position = relativeScores(more(this.v), { distance, distances, vectors, keys, clampLength });
    const past = this.#seen(length, keys, x);
    const seen = keyMask ? past.and(keyMask.reshape([-1, 1, 1, keys])) : past;
    const plain = content.add(position).mul(this.headDim ** -0.5);
    const scores = this.#pattern ? plain.add(this.#pattern.forward(length, keys, x)) : plain;
    return softmax({ x: seen.expand(scores.shape).where(scores, -1e30) });
  }

  #seen(length: number, keys: number, { device }: Tensor): Tensor {
    const [i, j] = [arange(length, { device }).reshape([length, 1]), arange(keys, { device })];
    const past = j.le(i.add(keys - length));
    if (this.sameLength === undefined) return past;
    const beyond = keys - this.sameLength;
    return past.and(j.gt(i.sub(beyond > 0 ? length - beyond : length)));
  }
}

/** The memory for the next segment: the last `length` positions of the memory and what entered the layer now. The layer stops gradients where it reads it. */
export function nextMemory(memory: Tensor | undefined, x: Tensor, length: number): Tensor {
  const all = memory ? Tensor.concat([memory, x], 1) : x;
  const have = all.shape[1]!;
  return all.slice(1, Math.max(0, have - length), have);
}
