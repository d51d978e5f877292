const size = 624;
const middle = 397;

/**
 * numpy's RandomState, as far as published random blocks need it: the 32-bit Mersenne Twister seeded from one integer, and `permutation` by the legacy shuffle. Matsumoto and Nishimura 1998,
 * doi 10.1145/272991.272995.
 */
export class NumpyRandom {
  readonly #state = new Uint32Array(size);
  #at = size;

  constructor(seed: number) {
    const state = this.#state;
    state[0] = seed;
    for (let i = 1; i < size; i++) state[i] = Math.imul(1812433253, state[i - 1]! ^ (state[i - 1]! >>> 30)) + i;
  }

  /** The values in another order: a copy, shuffled from the end down. */
  permutation(values: readonly number[]): number[] {
    const order = [...values];
    for (let i = order.length - 1; i > 0; i--) {
      const j = this.#upTo(i);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }

  /** A whole number from 0 to `most`: draws are cut to its bits, and drawn again while they are too large. */
  #upTo(most: number): number {
    const mask = 2 ** (32 - Math.clz32(most)) - 1;
    let value = this.#next() & mask;
    while (value > most) value = this.#next() & mask;
    return value;
  }

  #next(): number {
    if (this.#at === size) this.#twist();
    let y = this.#state[this.#at++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < size; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % size]! & 0x7fffffff);
      state[i] = state[(i + middle) % size]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#at = 0;
  }
}
