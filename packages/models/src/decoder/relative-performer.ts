import { type DistanceBias, type DistanceVectors, relativeScores } from "@x/attention";
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

  forward(x: Tensor, options: MixOptions): Tensor {
    const { performer } = this;
    const v = repeatHeads(splitHeads(performer.value.forward(x), performer.numKvHeads), performer.numHeads);
    return performer.dropout.forward(performer.output.forward(joinHeads(this.weights(x, options).cast(v.dtype).matmul(v))));
  }

  /** The kernel's values, divided by their sums: [batch, numHeads, length, length]. */
  weights(x: Tensor, { keyMask }: MixOptions): Tensor {
    const { performer } = this;
    const { numHeads, numKvHeads, features } = performer;
    const length = x.shape[1]!;
    const q = splitHeads(performer.query.forward(x), numHeads);
    const k = repeatHeads(splitHeads(performer.key.forward(x), numKvHeads), numHeads);
    const more = (bias: Parameter | undefined) => (bias ? q.add(bias.value.cast(q.dtype).unsqueeze(1)) : q);
    const queries = features.forward(more(this.u), { side: "query", causal: true }).values;
    const keys = features.forward(k, { side: "key", causal: true });
    const i = arange(length, { device: x.device });
    const past = i.le(i.reshape([length, 1]));
    const seen = keyMask ? past.and(keyMask.reshape([-1, 1, 1, length])) : past;
    const products = queries.matmul(keys.values.transpose()).maximum(1e-30).log();
    const scores = products.add(keys.logScale?.transpose() ?? 0).add(this.#bias(more(this.v), length));
    return softmax({ x: seen.expand(scores.shape).where(scores, -1e30) });
  }

  /** [1 or batch, numHeads, length, length]: what distances add to the logarithm of the kernel. */
  #bias(q: Tensor, length: number): Tensor {
    const { distance, distances, distanceBias } = this;
    if (distance && distances) return relativeScores(q, { distance, distances, keys: length }).mul(this.performer.headDim ** -0.5);
    const table = distanceBias!.forward(Math.max(1, length) - 1);
    const reach = (table.shape[1]! - 1) / 2;
    const i = noGrad(() => arange(length, { device: q.device }));
    const away = i
      .sub(i.reshape([length, 1]))
      .maximum(-reach)
      .minimum(reach)
      .add(reach);
    return table.take(away.reshape([length * length]), 1).reshape([1, table.shape[0]!, length, length]);
  }
}
