import { philox } from "@x/tensor";

/** Keeps the data's draws apart from those of a model that uses the same seed: they count their draws from 0 here. */
const DATA_STREAM = 0x64617461;

/**
 * A uniform integer in [0, limit), limit up to 2^53, that depends on the arguments alone: element `index` of the draws
 * numbered `step` under `seed`. From 53 random bits, so no value is favoured by more than limit / 2^53.
 */
export function randomIndex(seed: number, step: number, index: number, limit: number): number {
  const counter = [index >>> 0, DATA_STREAM, step >>> 0, Math.floor(step / 2 ** 32)] as const;
  const [high, low] = philox([...counter], seed >>> 0, Math.floor(seed / 2 ** 32));
  return Math.floor(((high * 2 ** 21 + (low >>> 11)) / 2 ** 53) * limit);
}

/** The numbers 0 to length - 1 in an order drawn from `seed` and `step` (Fisher and Yates). */
export function permutation(seed: number, step: number, length: number): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = randomIndex(seed, step, i, i + 1);
    const kept = order[i]!;
    order[i] = order[j]!;
    order[j] = kept;
  }
  return order;
}
