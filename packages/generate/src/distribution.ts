import { GenerateError } from "./errors.ts";

/** Index of the largest value, the lowest of equals. */
export function argmax(row: Float32Array): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
  return best;
}

/** Probabilities of a row of logits, in f64: they sum to 1 to rounding whatever was masked with -Infinity. */
export function softmax(row: Float32Array): Float64Array {
  const top = row[argmax(row)]!;
  const probabilities = Float64Array.from(row, (value) => Math.exp(value - top));
  const total = probabilities.reduce((sum, value) => sum + value, 0);
  return probabilities.map((value) => value / total);
}

/** Replaces a row of logits by log-probabilities: computed in f64, stored in f32. */
export function logSoftmaxInPlace(row: Float32Array): void {
  const top = row[argmax(row)]!;
  let total = 0;
  for (const value of row) total += Math.exp(value - top);
  const shift = top + Math.log(total);
  for (let i = 0; i < row.length; i++) row[i] = row[i]! - shift;
}

/**
 * Throws unless something can be chosen from the row: a NaN or +Infinity, or nothing above -Infinity, is an error that says
 * where. `origin` names who made the values, as "row 0, step 3: the model's logits".
 */
export function expectChoosable(row: Float32Array, origin: string): void {
  let choosable = false;
  for (let i = 0; i < row.length; i++) {
    const value = row[i]!;
    if (Number.isNaN(value) || value === Infinity)
      throw new GenerateError(
        `${origin} hold ${value} at token ${i}: expected finite numbers or -Infinity. Check the weights and the inputs for overflow.`,
      );
    choosable ||= value > -Infinity;
  }
  if (!choosable) throw new GenerateError(`${origin} are -Infinity for all ${row.length} tokens: nothing is left to choose from.`);
}
