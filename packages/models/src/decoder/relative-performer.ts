import { type CachedKeys, type DistanceBias, type DistanceVectors, relativeScores, scoresByDistance } from "@x/attention";
import type { PerformerAttention } from "@x/attention-linear";
import { type Init, joinHeads, Linear, Module, parameter, repeatHeads, splitHeads } from "@x/nn";
import { softmax } from "@x/ops";
import { arange, type Parameter, type Tensor, TensorError } from "@x/tensor";
import type { MixOptions } from "./mixers.ts";

/** Where queries and keys stand, and whether a cache says so. */
interface Standing extends Pick<CachedKeys, "queries" | "keys"> {
  readonly cached: boolean;
  readonly keyMask: Tensor | undefined;
}

export interface RelativePerformerOptions {
  /** Causal, without a floor under its features (eps 0). */
  readonly performer: PerformerAttention;
  readonly distanceBias?: DistanceBias | undefined;
  readonly distances?: DistanceVectors | undefined;
  readonly init: Init;
}

/**
 * A Performer whose kernel has a factor for each distance: exp(b_ij) phi(q_i) . phi(k_j), with ALiBi's or T5's biases or Transformer-XL's products as b. Features do not split over distances, so each pair is computed: the estimate is
 * a Performer's, time and memory grow with the square of the length. Luo et al. 2021, arXiv 2106.12566, section 3 (which computes it by Fourier transforms).
 */
export class RelativePerformer extends Module {
  readonly performer: PerformerAttention;
  readonly distanceBias: DistanceBias | undefined;
  readonly distances: DistanceVectors | undefined;
  readonly distance: Linear | undefined;
  readonly u: Parameter | undefined;
  readonly v: Parameter | undefined;

  constructor({ performer, distanceBias, distances, init }: RelativePerformerOptions) {
    super();
    if (performer.features.floored)
      throw new TensorError("RelativePerformer: the performer's features must have no floor; make it with eps: 0.");
    this.performer = performer;
    this.distanceBias = distanceBias;
    this.distances = distances;
    const { numHeads, headDim } = performer;
    if (!distances) return;
    this.distance = new Linear({ inputDim: performer.query.inputDim, outputDim: numHeads * headDim, bias: false, init });
    this.u = parameter([numHeads, headDim], init);
    this.v = parameter([numHeads, headDim], init);
  }

  get value(): Linear {
    return this.performer.value;
  }

  /** Numbers that a cache keeps of a key: its features, and the logarithm of their scale. */
  get cachedDim(): number {
    return this.performer.features.featureDim + 1;
  }

  forward(x: Tensor, options: MixOptions): Tensor {
    const { performer } = this;
    const { numHeads, numKvHeads } = performer;
    const own = { k: this.#keys(x), v: splitHeads(performer.value.forward(x), numKvHeads) };
    const { k, v, ...at } = options.cache?.append(own) ?? { ...own, ...alone(x) };
    const weights = this.#weights(x, k, { ...at, cached: options.cache !== undefined, keyMask: options.keyMask });
    return performer.dropout.forward(performer.output.forward(joinHeads(weights.cast(v.dtype).matmul(repeatHeads(v, numHeads)))));
  }

  /** The kernel's values, divided by their sums: [batch, numHeads, length, length]. */
  weights(x: Tensor, { keyMask }: MixOptions): Tensor {
    return this.#weights(x, this.#keys(x), { ...alone(x), cached: false, keyMask });
  }

  /** Features of keys and the logarithm of their scale behind them: [batch, numKvHeads, length, cachedDim]. */
  #keys(x: Tensor): Tensor {
    const { key, numKvHeads, features } = this.performer;
    const { values, logScale } = features.forward(splitHeads(key.forward(x), numKvHeads), { side: "key", causal: true });
    return values.concatWith(logScale ?? values.slice(3, 0, 1).zerosLike(), 3);
  }

  #weights(x: Tensor, k: Tensor, { queries, keys, cached, keyMask }: Standing): Tensor {
    const { query, numHeads, features } = this.performer;
    const q = splitHeads(query.forward(x), numHeads);
    const more = (bias: Parameter | undefined) => (bias ? q.add(bias.value.cast(q.dtype).unsqueeze(1)) : q);
    const asked = features.forward(more(this.u), { side: "query", causal: true }).values;
    const [all, width] = [repeatHeads(k, numHeads), features.featureDim];
    const back = queries.unsqueeze(2).sub(keys.unsqueeze(1));
    const past = back.ge(0).and(keys.ge(0).unsqueeze(1)).unsqueeze(1);
    const seen = keyMask && !cached ? past.and(keyMask.reshape([-1, 1, 1, keyMask.shape[1]!])) : past;
    const products = asked
      .matmul(all.slice(3, 0, width).transpose())
      .maximum(1e-30)
      .log();
    const scores = products.add(all.slice(3, width, width + 1).transpose()).add(this.#bias(more(this.v), back, cached));
    return softmax({ x: seen.expand(scores.shape).where(scores, -1e30) });
  }

  /** What distances i32 [1 or batch, queries, keys] from query back to key add to the logarithm of the kernel: [1 or batch, numHeads, queries, keys]. */
  #bias(q: Tensor, back: Tensor, cached: boolean): Tensor {
    const { distance, distances, distanceBias } = this;
    const [batch, queries, keys] = back.shape as [number, number, number];
    if (distance && distances) {
      const how = { distance, distances, keys };
      return (cached ? scoresByDistance(q, back, how) : relativeScores(q, how)).mul(this.performer.headDim ** -0.5);
    }
    const table = distanceBias!.forward(Math.max(1, keys) - 1);
    const reach = (table.shape[1]! - 1) / 2;
    const entries = back.neg().maximum(-reach).minimum(reach).add(reach);
    return table
      .take(entries.reshape([-1]), 1)
      .reshape([table.shape[0]!, batch, queries, keys])
      .permute([1, 0, 2, 3]);
  }
}

function alone({ shape, device }: Tensor): Pick<CachedKeys, "queries" | "keys"> {
  const at = arange(shape[1]!, { device }).unsqueeze(0);
  return { queries: at, keys: at };
}
