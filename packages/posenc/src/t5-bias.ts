import { expectCounts, type Init, Module, normal, parameter } from "@x/nn";
import { embedding } from "@x/ops";
import { Cell, type Parameter, ShapeError, type Tensor } from "@x/tensor";

export interface T5Buckets {
  /** Buckets in all; half of them for each direction where attention looks both ways. */
  readonly numBuckets: number;
  /** The distance from which on all share the last bucket. */
  readonly maxDistance: number;
  /** Whether keys behind and before the query are told apart. A decoder, which looks back only, has all buckets for that: false. */
  readonly bidirectional: boolean;
}

export interface T5Options extends Partial<T5Buckets> {
  readonly numHeads: number;
  readonly init?: Init;
}

/**
 * The bucket of a key `distance` after its query (negative: before it): one each for near ones, then wider ones by the logarithm, in f32 as the reference computes it. Raffel et al. 2020, arXiv
 * 1910.10683.
 */
export function t5Bucket(distance: number, { numBuckets, maxDistance, bidirectional }: T5Buckets): number {
  const side = bidirectional ? numBuckets / 2 : numBuckets;
  const first = bidirectional && distance > 0 ? side : 0;
  const far = bidirectional ? Math.abs(distance) : Math.max(0, -distance);
  const exact = Math.floor(side / 2);
  if (far < exact) return first + far;
  const steps = Math.fround(Math.fround(Math.log(Math.fround(far / exact))) / Math.fround(Math.log(maxDistance / exact)));
  return first + Math.min(side - 1, exact + Math.trunc(Math.fround(steps * (side - exact))));
}

/**
 * T5's relative positions: a trained number for each head and bucket of distances, added to scores that are not scaled (give SelfAttention `scale: 1`, and this as `distanceBias`). weight
 * [numBuckets, numHeads], "relative_attention_bias.weight" of the first layer; all layers of a stack share one, so hand the same module to each. Raffel et al. 2020, arXiv 1910.10683.
 */
export class T5RelativeBias extends Module {
  readonly weight: Parameter;
  readonly buckets: T5Buckets;
  readonly #ids: Cell;

  constructor({ numHeads, numBuckets = 32, maxDistance = 128, bidirectional = true, init = normal(1) }: T5Options) {
    super();
    const who = "T5RelativeBias";
    expectCounts(who, { numHeads, numBuckets, maxDistance });
    const side = bidirectional ? numBuckets / 2 : numBuckets;
    if (!Number.isInteger(side) || side < 2)
      throw new ShapeError(`${who}: numBuckets must be ${bidirectional ? "even and at least 4" : "at least 2"}, got ${numBuckets}.`);
    if (maxDistance <= Math.floor(side / 2))
      throw new ShapeError(
        `${who}: maxDistance ${maxDistance} must exceed the ${Math.floor(side / 2)} distances with buckets of their own. Raise it, or take fewer buckets.`,
      );
    this.buckets = { numBuckets, maxDistance, bidirectional };
    this.weight = parameter([numBuckets, numHeads], init);
    const ids = Int32Array.from({ length: 2 * maxDistance + 1 }, (_, i) => t5Bucket(i - maxDistance, this.buckets));
    this.#ids = new Cell({ shape: [ids.length], dtype: "i32", data: ids, device: this.weight.device });
  }

  /** What is added by distance, f32 [numHeads, 2 maxDistance + 1], whatever is in reach: the last entries serve all that is further. */
  forward(): Tensor {
    return embedding({ table: this.weight, indices: this.#ids.value }).transpose();
  }
}
