import { contiguousStrides, type Shape, show, type Tolerance } from "@x/tensor";

/** The worst element of a comparison: where it is, what stood there, and how much was allowed. */
export interface WorstElement {
  /** Position in row-major order, and the same as one index an axis (where the shape was given). */
  readonly position: number;
  readonly index: readonly number[];
  readonly actual: number;
  readonly expected: number;
  readonly error: number;
  readonly allowed: number;
}

export interface Comparison {
  readonly pass: boolean;
  readonly size: number;
  /** How many elements lie beyond the tolerance. */
  readonly failures: number;
  readonly maxAbs: number;
  /** Largest |a - b| / |b| over elements with b != 0. */
  readonly maxRel: number;
  /** The element whose error is largest in units of what is allowed; undefined where nothing was compared. */
  readonly worst: WorstElement | undefined;
  /** What went wrong, in a few lines: the worst element, and how errors are distributed. */
  report(): string;
}

export interface CompareOptions extends Tolerance {
  /** For indices in reports; [size] if absent. */
  readonly shape?: Shape;
  /** Elements to compare; absent: all. */
  readonly where?: (position: number) => boolean;
}

/**
 * Compares two row-major arrays: |a - b| <= atol + rtol * |b| for every element. NaN agrees with NaN alone, an infinity with itself.
 * Arrays of different lengths never pass.
 */
export function compareArrays(actual: ArrayLike<number>, expected: ArrayLike<number>, options: CompareOptions): Comparison {
  const { atol, rtol, shape = [expected.length], where } = options;
  const sameLength = actual.length === expected.length;
  const positions: number[] = [];
  if (sameLength) for (let i = 0; i < expected.length; i++) if (!where || where(i)) positions.push(i);
  let [failures, maxAbs, maxRel, worstRatio] = [0, 0, 0, -1];
  let worst: WorstElement | undefined;
  for (const position of positions) {
    const [a, b] = [actual[position]!, expected[position]!];
    const error = distance(a, b);
    const allowed = Number.isFinite(b) ? atol + rtol * Math.abs(b) : 0;
    if (error > allowed) failures++;
    maxAbs = Math.max(maxAbs, error);
    if (b !== 0) maxRel = Math.max(maxRel, error === 0 ? 0 : error / Math.abs(b));
    const ratio = error === 0 ? 0 : error / allowed;
    if (ratio <= worstRatio) continue;
    worstRatio = ratio;
    worst = { position, index: indexOf(position, shape), actual: a, expected: b, error, allowed };
  }
  const pass = sameLength && failures === 0;
  const report = () =>
    sameLength ? reportOf(positions, actual, expected, failures, worst, options) : `${actual.length} elements, expected ${expected.length}`;
  return { pass, size: positions.length, failures, maxAbs, maxRel, worst, report };
}

/** |a - b|, with 0 for equal infinities and two NaNs, and infinity where only one is NaN. */
function distance(a: number, b: number): number {
  if (Object.is(a, b) || a === b) return 0;
  const error = Math.abs(a - b);
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
}

function indexOf(position: number, shape: Shape): number[] {
  const strides = contiguousStrides(shape);
  return shape.map((extent, axis) => Math.floor(position / strides[axis]!) % extent);
}

function reportOf(
  positions: readonly number[],
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  failures: number,
  worst: WorstElement | undefined,
  { atol, rtol }: Tolerance,
): string {
  if (!worst) return "nothing to compare";
  const errors = Float64Array.from(positions, (i) => distance(actual[i]!, expected[i]!)).sort();
  const quantile = (q: number) => errors[Math.min(errors.length - 1, Math.floor(q * errors.length))]!.toExponential(2);
  return [
    `${failures} of ${positions.length} elements differ by more than ${atol} + ${rtol} |expected|`,
    `worst at ${show(worst.index)}: got ${worst.actual}, expected ${worst.expected}, error ${worst.error.toExponential(3)}, allowed ${worst.allowed.toExponential(3)}`,
    `errors: median ${quantile(0.5)}, 90 % ${quantile(0.9)}, 99 % ${quantile(0.99)}, largest ${quantile(1)}`,
  ].join("\n");
}
