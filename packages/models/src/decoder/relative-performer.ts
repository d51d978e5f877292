import { type CachedKeys, type DistanceBias, type DistanceVectors, scoresByDistance } from "@x/attention";
import type { PerformerAttention } from "@x/attention-linear";
import { type Init, joinHeads, Linear, Module, parameter, repeatHeads, splitHeads } from "@x/nn";
import { softmax } from "@x/ops";
import { arange, noGrad, type Parameter, type Tensor, TensorError } from "@x/tensor";
import type { MixOptions } from "./mixers.ts";

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
    const { v, ...keys } = options.cache?.append(own) ?? { ...own, ...this.#alone(x) };
    const weights = this.#weights(x, keys, options.cache ? undefined : options.keyMask);
    return performer.dropout.forward(performer.output.forward(joinHeads(weights.cast(v.dtype).matmul(repeatHeads(v, numHeads)))));
  }

  /** The kernel's values, divided by their sums: [batch, numHeads, length, length]. */
  weights(x: Tensor, { keyMask }: MixOptions): Tensor {
    return this.#weights(x, { k: this.#keys(x), ...this.#alone(x) }, keyMask);
  }

  /** Where queries and keys of a call without a cache stand. */
  #alone(x: Tensor): Pick<CachedKeys, "queries" | "keys"> {
    const at = noGrad(() => arange(x.shape[1]!, { device: x.device }).unsqueeze(0));
    return { queries: at, keys: at };
  }

  /** Features of keys and the logarithm of their scale behind them: [batch, numKvHeads, length, cachedDim]. */
  #keys(x: Tensor): Tensor {
    const { key, numKvHeads, features } = this.performer;
    const { values, logScale } = features.forward(splitHeads(key.forward(x), numKvHeads), { side: "key", causal: true });
    return values.concatWith(logScale ?? values.slice(3, 0, 1).zerosLike(), 3);
  }

  #weights(x: Tensor, { k, queries, keys }: Omit<CachedKeys, "v">, keyMask: Tensor | undefined): Tensor {
    const { query, numHeads, features } = this.performer;
    const q = splitHeads(query.forward(x), numHeads);
    const more = (bias: Parameter | undefined) => (bias ? q.add(bias.value.cast(q.dtype).unsqueeze(1)) : q);
    const asked = features.forward(more(this.u), { side: "query", causal: true }).values;
    const [all, width] = [repeatHeads(k, numHeads), features.featureDim];
    const back = queries.unsqueeze(2).sub(keys.unsqueeze(1));
    const past = back.ge(0).and(keys.ge(0).unsqueeze(1)).unsqueeze(1);
    const seen = keyMask ? past.and(keyMask.reshape([-1, 1, 1, keyMask.shape.at(-1)!])) : past;
    const products = asked
      .matmul(all.slice(3, 0, width).transpose())
      .maximum(1e-30)
      .log();
    const scores = products.add(all.slice(3, width, width + 1).transpose()).add(this.#bias(more(this.v), back));
    return softmax({ x: seen.expand(scores.shape).where(scores, -1e30) });
  }

  /** What distances i32 [1 or batch, queries, keys] from query back to key add to the logarithm of the kernel: [1 or batch, numHeads, queries, keys]. */
  #bias(q: Tensor, back: Tensor): Tensor {
    const { distance, distances, distanceBias } = this;
    if (distance && distances) return scoresByDistance(q, back, { distance, distances }).mul(this.performer.headDim ** -0.5);
    const [batch, queries, keys] = back.shape as [number, number, number];
    const table = distanceBias!.forward(Math.max(1, keys) - 1);
    const reach = (table.shape[1]! - 1) / 2;
    const entries = back.neg().maximum(-reach).minimum(reach).add(reach);
    return table
      .take(entries.reshape([-1]), 1)
      .reshape([table.shape[0]!, batch, queries, keys])
      .permute([1, 0, 2, 3]);
  }
}
