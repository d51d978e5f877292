import type { Pattern } from "@x/ops";
import { hostConstant, type Tensor } from "@x/tensor";

/** A pattern as numbers to add to the scores of attention that is composed: the logarithm of how often a query sees a key, and -1e30 where it does not. */
export class PatternScores {
  readonly #pattern: Pattern;
  #made: { readonly of: string; readonly scores: Tensor } | undefined;

  constructor(pattern: Pattern) {
    this.#pattern = pattern;
  }

  /** f32 [queries, keys], kept until other extents are asked for. */
  forward(queries: number, keys: number, { device, dtype }: Tensor): Tensor {
    const of = `${queries} ${keys} ${device.name}`;
    if (this.#made?.of !== of) {
      const data = new Float32Array(queries * keys);
      for (let i = 0; i < queries; i++)
        for (let j = 0; j < keys; j++) {
          const times = this.#pattern.times(i + keys - queries, j);
          data[i * keys + j] = times > 0 ? Math.log(times) : -1e30;
        }
      this.#made = { of, scores: hostConstant(data, { shape: [queries, keys], device }) };
    }
    return this.#made.scores.cast(dtype);
  }
}
