import { randomBits } from "@x/tensor";
import { argmax, softmax } from "./distribution.ts";

/**
 * Draws tokens from rows of logits. Draw n of row r is a function of seed, n and r alone (Philox, 53 bits), so a run can be
 * repeated, or resumed by starting at the number of draws already made.
 */
export class Sampler {
  readonly seed: number;
  #draw: number;

  constructor({ seed = 0, draw = 0 }: { seed?: number; draw?: number } = {}) {
    this.seed = seed;
    this.#draw = draw;
  }

  /** Draws made so far: what to pass as `draw` to go on from here. */
  get draw(): number {
    return this.#draw;
  }

  /** Moves on to the next draw of every row. */
  advance(): void {
    this.#draw++;
  }

  /** The token that the present draw of `row` picks, each with the probability its logit gives it. */
  sample(logits: Float32Array, row: number): number {
    const probabilities = softmax(logits);
    const threshold = this.#uniform(row);
    let sum = 0;
    for (let token = 0; token < probabilities.length; token++) {
      sum += probabilities[token]!;
      if (sum > threshold) return token;
    }
    return argmax(logits); // the probabilities summed to a rounding error less than 1, and the draw fell in the gap
  }

  #uniform(row: number): number {
    const key = [...words(this.seed), ...words(this.#draw)];
    const high = randomBits(key, 0, 2 * row) >>> 5;
    const low = randomBits(key, 0, 2 * row + 1) >>> 6;
    return (high * 2 ** 26 + low) * 2 ** -53;
  }
}

function words(value: number): [number, number] {
  return [value >>> 0, Math.floor(value / 2 ** 32)];
}
