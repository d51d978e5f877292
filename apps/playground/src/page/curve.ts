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

/** Running mean: each point is the mean of those before it, weighed the less the older they are. `window` says how many count, at the beginning fewer. */
export function smooth(points: readonly Point[], window: number): Point[] {
  let mean: number | undefined;
  let seen = 0;
  return points.map(({ x, y }) => {
    if (Number.isFinite(y)) {
      // A run begins steeply: a long window would lag far behind.
      const share = 1 / Math.min(Math.max(1, window), 1 + seen++ / 4);
      mean = mean === undefined ? y : mean + share * (y - mean);
    }
    return { x, y: mean ?? Number.NaN };
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
