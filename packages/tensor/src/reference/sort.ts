import type { Kernel } from "../kernel.ts";
import { sort, topK } from "../primitives/sort.ts";
import { type Dense, referenceKernel } from "./kernel.ts";

/** Positions along the last axis in sorted order; stable, NaN last. */
function sortedRow(row: ArrayLike<number>, descending: boolean): number[] {
  const order = (a: number, b: number) => {
    const [x, y] = [row[a]!, row[b]!];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
    return x < y ? (descending ? 1 : -1) : x > y ? (descending ? -1 : 1) : 0;
  };
  return Array.from({ length: row.length }, (_, i) => i).sort((a, b) => order(a, b) || a - b);
}

function sortRows({ x }: Readonly<Record<string, Dense>>, k: number, descending: boolean) {
  const n = x!.shape.at(-1)!;
  const rows = n === 0 ? 0 : x!.data.length / n;
  const values = new Float64Array(rows * k);
  const indices = new Float64Array(rows * k);
  for (let r = 0; r < rows; r++) {
    const row = Float64Array.from({ length: n }, (_, i) => x!.data[r * n + i]!);
    for (const [i, from] of sortedRow(row, descending).slice(0, k).entries()) {
      values[r * k + i] = row[from]!;
      indices[r * k + i] = from;
    }
  }
  return { values, indices };
}

export const sortKernels = (): Kernel[] => [
  referenceKernel(sort, (inputs, { descending }) => sortRows(inputs, inputs.x!.shape.at(-1)!, descending)),
  referenceKernel(topK, (inputs, { k }) => sortRows(inputs, k, true)),
];
