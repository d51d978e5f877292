import type { GemmWorkload, Inputs, RowsWorkload, Workload } from "./workloads.ts";

/** The largest absolute difference between an output and f64 arithmetic, over the rows looked at. */
export interface Check {
  maxAbs: number;
  rows: number;
}

/** Checks some rows of `output` against f64; `undefined` where the parent compares competitors with one another instead. */
export function check(work: Workload, given: Inputs, output: Float32Array): Check | undefined {
  if (work.kind === "blocks" || work.kind === "baby") return undefined;
  const rows = work.kind === "gemm" ? work.m : work.rows;
  const cols = work.kind === "gemm" ? work.n : work.cols;
  if (output.length !== rows * cols) return { maxAbs: Number.POSITIVE_INFINITY, rows: 0 };
  const step = work.kind === "gemm" ? Math.max(1, Math.ceil((rows - 1) / 3)) : 61;
  let maxAbs = 0;
  let count = 0;
  for (let row = 0; row < rows; row += step) {
    const expected = work.kind === "gemm" ? productRow(work, given, row) : mappedRow(work, given, row);
    for (let col = 0; col < cols; col++) {
      const difference = Math.abs(output[row * cols + col]! - expected[col]!);
      if (Number.isNaN(difference)) return { maxAbs: Number.POSITIVE_INFINITY, rows: count };
      if (difference > maxAbs) maxAbs = difference;
    }
    count++;
  }
  return { maxAbs, rows: count };
}

function productRow({ k, n }: GemmWorkload, { a, b }: Inputs, row: number): Float64Array {
  const out = new Float64Array(n);
  for (let p = 0; p < k; p++) {
    const left = a![row * k + p]!;
    for (let col = 0; col < n; col++) out[col]! += left * b![p * n + col]!;
  }
  return out;
}

function mappedRow({ kind, cols }: RowsWorkload, { x, weight, bias }: Inputs, row: number): Float64Array {
  const values = Float64Array.from(x!.subarray(row * cols, (row + 1) * cols));
  if (kind === "gelu") return values.map((v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))));
  if (kind === "softmax") {
    const top = values.reduce((max, v) => Math.max(max, v), Number.NEGATIVE_INFINITY);
    const raised = values.map((v) => Math.exp(v - top));
    const total = raised.reduce((sum, v) => sum + v, 0);
    return raised.map((v) => v / total);
  }
  const mean = values.reduce((sum, v) => sum + v, 0) / cols;
  const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / cols;
  return values.map((v, i) => ((v - mean) / Math.sqrt(variance + 1e-5)) * weight![i]! + bias![i]!);
}

/** Largest absolute difference of two outputs; infinite where their lengths differ or either is not a number. */
export function maxDifference(left: Float32Array, right: Float32Array): number {
  if (left.length !== right.length) return Number.POSITIVE_INFINITY;
  let max = 0;
  for (let i = 0; i < left.length; i++) {
    const difference = Math.abs(left[i]! - right[i]!);
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    if (difference > max) max = difference;
  }
  return max;
}
