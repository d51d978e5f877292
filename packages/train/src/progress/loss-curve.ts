import { formatSi } from "./format.ts";

export interface LossCurveOptions {
  /** Characters across, labels included. Default 72. */
  width?: number;
  /** Lines of the plot, the axis not counted. Default 10. */
  height?: number;
  /** From 0 (the values as they are) towards 1: weight of the past in the running mean that is drawn. Default 0.8. */
  smoothing?: number;
}

export interface CurvePoint {
  readonly step: number;
  readonly loss: number;
}

/** Unicode braille: the bit of each dot of a character, by row and column. */
const DOTS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;

/**
 * A loss curve as text, two by four dots a character (braille), with the loss on the left and the step below. Values that are
 * not finite are left out, and points are taken in the order of their steps. Empty when fewer than two points are left.
 */
export function lossCurve(points: readonly CurvePoint[], { width = 72, height = 10, smoothing = 0.8 }: LossCurveOptions = {}): string {
  const smooth = smoothed(points, smoothing);
  if (smooth.length < 2) return "";
  const losses = smooth.map(({ loss }) => loss);
  const [low, high] = [losses.reduce((a, b) => Math.min(a, b)), losses.reduce((a, b) => Math.max(a, b))];
  const labels = axisLabels(low, high, Math.max(2, height));
  const margin = Math.max(...labels.map((label) => label.length));
  const columns = Math.max(8, width - margin - 2);
  const cells = draw(smooth, columns, labels.length, low, high);
  const rows = cells.map((row, i) => `${labels[i]!.padStart(margin)} ┤${String.fromCodePoint(...row.map((bits) => 0x2800 + bits))}`);
  const [first, last] = [formatSi(smooth[0]!.step), `step ${formatSi(smooth.at(-1)!.step)}`];
  return [
    ...rows,
    `${" ".repeat(margin)} └${"─".repeat(columns)}`,
    `${" ".repeat(margin + 2)}${first.padEnd(columns - last.length)}${last}`,
  ].join("\n");
}

/** Exponential running mean, corrected for its start as Adam's moments are. */
function smoothed(points: readonly CurvePoint[], smoothing: number): CurvePoint[] {
  let mean = 0;
  let weight = 0;
  return points
    .filter(({ step, loss }) => Number.isFinite(step) && Number.isFinite(loss))
    .sort((a, b) => a.step - b.step)
    .map(({ step, loss }) => {
      mean = smoothing * mean + (1 - smoothing) * loss;
      weight = smoothing * weight + (1 - smoothing);
      return { step, loss: mean / weight };
    });
}

/** A label on the first, the middle and the last row. */
function axisLabels(low: number, high: number, rows: number): string[] {
  const label = (value: number) => (Math.abs(value) >= 1e4 ? formatSi(value) : value.toFixed(2));
  return Array.from({ length: rows }, (_, row) => {
    const labelled = row === 0 || row === rows - 1 || (rows > 4 && row === Math.floor(rows / 2));
    return labelled ? label(high - ((high - low) * row) / (rows - 1)) : "";
  });
}

/** The dots of the curve, as bits by row and column of characters: in each column of dots, the span that the curve crosses there. */
function draw(points: readonly CurvePoint[], columns: number, rows: number, low: number, high: number): number[][] {
  const cells = Array.from({ length: rows }, () => new Array<number>(columns).fill(0));
  const [firstStep, lastStep] = [points[0]!.step, points.at(-1)!.step];
  const x = (step: number) => Math.round(((step - firstStep) / (lastStep - firstStep || 1)) * (2 * columns - 1));
  const y = (loss: number) => Math.round(((high - loss) / (high - low || 1)) * (4 * rows - 1));
  const dot = (column: number, row: number) => {
    const line = cells[row >> 2]!;
    line[column >> 1]! |= DOTS[row & 3]![column & 1]!;
  };
  for (let i = 1; i < points.length; i++) {
    const [x0, y0] = [x(points[i - 1]!.step), y(points[i - 1]!.loss)];
    const [x1, y1] = [x(points[i]!.step), y(points[i]!.loss)];
    const count = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
    for (let k = 0; k <= count; k++) dot(Math.round(x0 + ((x1 - x0) * k) / count), Math.round(y0 + ((y1 - y0) * k) / count));
  }
  return cells;
}
