import { type Device, hostConstant, type Tensor } from "@x/tensor";

/**
 * What Transformer-XL knows of a distance d: sin(d f) and cos(d f) in two halves, f_a = 10000^(-2a / dim), computed in f64 for any distance; those beyond `clampLength` count as it. Dai et al. 2019, appendix B.
 */
export class DistanceVectors {
  readonly #dim: number;
  readonly #clampLength: number;
  /** Kept, so that compiled steps find the same ones. */
  readonly #made = new Map<string, Tensor>();

  constructor({ dim, clampLength = Number.POSITIVE_INFINITY }: { dim: number; clampLength?: number | undefined }) {
    this.#dim = dim;
    this.#clampLength = clampLength;
  }

  /** f32 [keys, dim]: of the distances keys - 1, ..., 0. */
  of(keys: number, device: Device): Tensor {
    const key = `${keys} ${device.name}`;
    let made = this.#made.get(key);
    if (!made) {
      made = hostConstant(this.#table(keys), { shape: [keys, this.#dim], device });
      this.#made.set(key, made);
    }
    return made;
  }

  #table(keys: number): Float32Array {
    const half = this.#dim / 2;
    const table = new Float32Array(keys * this.#dim);
    for (let j = 0; j < keys; j++)
      for (let a = 0; a < half; a++) {
        const angle = Math.min(keys - 1 - j, this.#clampLength) * 10_000 ** (-a / half);
        table[j * this.#dim + a] = Math.sin(angle);
        table[j * this.#dim + half + a] = Math.cos(angle);
      }
    return table;
  }
}
