import type { HostArray, Shape } from "@x/tensor";
import type { Tolerance } from "./directory.ts";

/** How one output compares: the largest errors, where the worst stands, and whether all elements are within tolerance. */
export interface Comparison {
  readonly name: string;
  readonly maxAbs: number;
  readonly maxRel: number;
  readonly at: readonly number[];
  readonly pass: boolean;
}

/** Compares element by element; `mask` (one entry for each leading position) leaves out what the reference does not define. */
export function compare(
  name: string,
  actual: HostArray,
  expected: HostArray,
  shape: Shape,
  { atol, rtol }: Tolerance,
  mask?: HostArray,
): Comparison {
  let maxAbs = 0;
  let maxRel = 0;
  let worst = 0;
  let worstExcess = Number.NEGATIVE_INFINITY;
  const perEntry = mask ? expected.length / mask.length : 1;
  for (let i = 0; i < expected.length; i++) {
    if (mask && mask[Math.floor(i / perEntry)] === 0) continue;
    const error = Math.abs(actual[i]! - expected[i]!);
    const broken = Number.isNaN(error) && !(Number.isNaN(actual[i]) && Number.isNaN(expected[i]));
    const excess = broken ? Number.POSITIVE_INFINITY : error - (atol + rtol * Math.abs(expected[i]!));
    maxAbs = broken ? Number.POSITIVE_INFINITY : Math.max(maxAbs, error || 0);
    if (expected[i] !== 0) maxRel = Math.max(maxRel, (error || 0) / Math.abs(expected[i]!));
    if (excess > worstExcess) {
      worstExcess = excess;
      worst = i;
    }
  }
  const sized = actual.length === expected.length;
  return { name, maxAbs: sized ? maxAbs : Number.POSITIVE_INFINITY, maxRel, at: indexOf(worst, shape), pass: sized && worstExcess <= 0 };
}

function indexOf(position: number, shape: Shape): number[] {
  const index: number[] = [];
  let rest = position;
  for (const extent of shape.toReversed()) {
    index.unshift(extent === 0 ? 0 : rest % extent);
    rest = extent === 0 ? 0 : Math.floor(rest / extent);
  }
  return index;
}
