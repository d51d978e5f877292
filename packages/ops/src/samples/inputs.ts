import type { SampleInput, Shape } from "@x/tensor";

/** Standard normal numbers, or those of another deviation and mean. */
export const normal = (shape: Shape, deviation = 1, mean = 0): SampleInput => ({ shape, fill: { kind: "normal", deviation, mean } });
export const uniform = (shape: Shape, low: number, high: number): SampleInput => ({ shape, fill: { kind: "uniform", low, high } });
/** i32 from low to high - 1. */
export const integers = (shape: Shape, low: number, high: number): SampleInput => ({
  shape,
  dtype: "i32",
  fill: { kind: "integers", low, high },
});
/** These numbers, repeated. */
export const floats = (shape: Shape, ...values: number[]): SampleInput => ({ shape, fill: { kind: "values", values } });
export const ints = (shape: Shape, ...values: number[]): SampleInput => ({ shape, dtype: "i32", fill: { kind: "values", values } });
/** These truth values (1 or 0), repeated. */
export const bools = (shape: Shape, ...values: number[]): SampleInput => ({ shape, dtype: "bool", fill: { kind: "values", values } });
export const transposed = (input: SampleInput): SampleInput => ({ ...input, layout: "transposed" });
export const sliced = (input: SampleInput): SampleInput => ({ ...input, layout: "sliced" });
export const expanded = (input: SampleInput): SampleInput => ({ ...input, layout: "expanded" });

/** Shapes of [..., dim] on which row kernels go wrong: one row, one column, primes, off any tile, long rows, no rows. */
export const rowShapes: readonly Shape[] = [
  [1, 1],
  [5, 7],
  [3, 1],
  [1, 4],
  [2, 3, 17],
  [66, 65],
  [2, 4097],
  [0, 6],
  [2, 0, 3],
];
