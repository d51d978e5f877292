import type { AttentionWorkload, GemmWorkload, Inputs, RowsWorkload, Workload } from "./workloads.ts";

/** The largest absolute difference between an output and f64 arithmetic, over the rows looked at. */
export interface Check {
  maxAbs: number;
  rows: number;
}

/** Checks some rows of `output` against f64; `undefined` where the parent compares competitors with one another instead. */
export function check(work: Workload, given: Inputs, output: Float32Array): Check | undefined {
  const looked = rowsOf(work, given);
  if (!looked) return undefined;
  const { rows, cols, step, rowAt } = looked;
  if (output.length !== rows * cols) return { maxAbs: Number.POSITIVE_INFINITY, rows: 0 };
  let maxAbs = 0;
  let count = 0;
  for (let row = 0; row < rows; row += step) {
    const expected = rowAt(row);
    for (let col = 0; col < cols; col++) {
      const difference = Math.abs(output[row * cols + col]! - expected[col]!);
      if (Number.isNaN(difference)) return { maxAbs: Number.POSITIVE_INFINITY, rows: count };
      if (difference > maxAbs) maxAbs = difference;
    }
    count++;
  }
  return { maxAbs, rows: count };
}

/** The rows of the output, every how many of them is looked at, and what one should be. */
function rowsOf(work: Workload, given: Inputs): { rows: number; cols: number; step: number; rowAt(row: number): Float64Array } | undefined {
  if (!("rows" in work) && work.kind !== "gemm" && work.kind !== "attention") return undefined;
  if (work.kind === "gemm") {
    const step = Math.max(1, Math.ceil((work.m - 1) / 3));
    return { rows: work.m, cols: work.n, step, rowAt: (row) => productRow(work, given, row) };
  }
  if (work.kind === "attention") {
    if (work.training) return undefined; // its gradients by key take all queries: competitors are compared
    return { rows: work.heads * work.tokens, cols: work.width, step: 331, rowAt: (row) => attendedRow(work, given, row) };
  }
  return { rows: work.rows, cols: work.cols, step: 61, rowAt: (row) => mappedRow(work, given, row) };
}

function attendedRow({ tokens, width, causal }: AttentionWorkload, { q, k, v }: Inputs, row: number): Float64Array {
  const seen = causal ? (row % tokens) + 1 : tokens;
  const first = row - (row % tokens); // of the head's keys and values
  const scores = new Float64Array(seen);
  for (let i = 0; i < seen; i++) {
    for (let d = 0; d < width; d++) scores[i]! += (q![row * width + d]! * k![(first + i) * width + d]!) / Math.sqrt(width);
  }
  const out = new Float64Array(width);
  for (const [i, weight] of softmaxed(scores).entries()) {
    for (let d = 0; d < width; d++) out[d]! += weight * v![(first + i) * width + d]!;
  }
  return out;
}

function softmaxed(values: Float64Array): Float64Array {
  const top = values.reduce((max, v) => Math.max(max, v), Number.NEGATIVE_INFINITY);
  const raised = values.map((v) => Math.exp(v - top));
  const total = raised.reduce((sum, v) => sum + v, 0);
  return raised.map((v) => v / total);
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
  if (kind === "softmax") return softmaxed(values);
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
