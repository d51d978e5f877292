import { randomBits, uniformFromBits } from "@x/tensor";

/** A seeded stream of numbers for test data: Philox, keyed by a name, so that a case draws the same whatever else runs. */
export class Stream {
  readonly #key: readonly number[];
  #ordinal = 0;

  constructor(name: string, seed = 0) {
    this.#key = [seed >>> 0, hash(name), 0, 0];
  }

  /** Uniform on [0, 1). */
  uniform(count: number): Float64Array {
    const ordinal = this.#ordinal++;
    return Float64Array.from({ length: count }, (_, i) => uniformFromBits(randomBits(this.#key, ordinal, i)));
  }

  /** Standard normal. */
  normal(count: number): Float64Array {
    const radius = this.uniform(count);
    const angle = this.uniform(count);
    return radius.map((u, i) => Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * angle[i]!));
  }

  /** Integers from low to high - 1. */
  integers(count: number, low: number, high: number): Float64Array {
    return this.uniform(count).map((u) => low + Math.floor(u * (high - low)));
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
