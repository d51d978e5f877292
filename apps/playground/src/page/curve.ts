/** The arithmetic of the loss curve: what to draw where, and no drawing. */

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Round numbers within [min, max], about `count` of them: multiples of 1, 2 or 5 times a power of ten. */
export function ticks(min: number, max: number, count: number): number[] {
  const step = roundStep((max - min) / count);
  if (!(step > 0)) return [min];
  const first = Math.ceil(min / step - 1e-9);
  const last = Math.floor(max / step + 1e-9);
  // Multiplied, not summed: 0.1 + 0.2 would be shown as 0.30000000000000004.
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** The smallest of 1, 2 or 5 times a power of ten that is no smaller than `least`. */
export function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= least * (1 - 1e-9))!;
}

/**
 * Each point as the mean of up to `half` points on both sides, so that the mean neither lags nor leads; near the beginning, where a run is steep, of as many as
 * there are before it.
 */
export function smooth(points: readonly Point[], half: number): Point[] {
  const finite = points.filter(({ y }) => Number.isFinite(y));
  const sums = [0];
  for (const { y } of finite) sums.push(sums.at(-1)! + y);
  return finite.map(({ x }, i) => {
    const reach = Math.min(Math.round(half), i);
    const end = Math.min(finite.length, i + reach + 1);
    return { x, y: (sums[end]! - sums[i - reach]!) / (end - i + reach) };
  });
}

export interface Column {
  readonly x: number;
  readonly min: number;
  readonly max: number;
}

/** Points by column of pixels, with the least and the greatest in each: no peak is lost, however many steps there are. */
export function columns(points: readonly Point[], toX: (x: number) => number): Column[] {
  const found: { x: number; min: number; max: number }[] = [];
  for (const { x, y } of points) {
    if (!Number.isFinite(y)) continue;
    const at = Math.round(toX(x));
    const last = found.at(-1);
    if (last?.x === at) {
      last.min = Math.min(last.min, y);
      last.max = Math.max(last.max, y);
    } else found.push({ x: at, min: y, max: y });
  }
  return found;
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** From 0 to a round number of steps beyond the last: the axis grows now and then instead of at every step. */
export function stepRange(last: number, steps: number): Range {
  return { min: 0, max: Math.min(Math.max(steps, last, 1), Math.max(50, roundStep(last * 1.02 || 1))) };
}

/** What holds all of these losses, with some room, to a tenth. */
export function lossRange(losses: readonly number[]): Range {
  const finite = losses.filter(Number.isFinite);
  if (finite.length === 0) return { min: 0, max: 5 };
  const [low, high] = [finite.reduce((a, b) => Math.min(a, b)), finite.reduce((a, b) => Math.max(a, b))];
  const room = Math.max(0.05, (high - low) * 0.06);
  return { min: Math.max(0, Math.floor((low - room) * 10) / 10), max: Math.ceil((high + room) * 10) / 10 };
}

/** From a range of values to a range of pixels. */
export const scale =
  ({ min, max }: Range, from: number, to: number) =>
  (value: number): number =>
    from + ((value - min) / (max - min)) * (to - from);
