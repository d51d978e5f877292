import type { Graph, Value } from "./graph.ts";

const bytesOf = (words: readonly number[]): number[] => words.flatMap((word) => [0, 1, 2, 3].map((byte) => word * 4 + byte));

/** Words of `a` (0 to 3) and `b` (4 to 7). */
export const shuffle = (g: Graph, a: Value, b: Value, words: readonly number[]): Value => g.with("i8x16.shuffle", bytesOf(words), a, b);

/** The upper half of `x` in the lower. */
export const upper = (g: Graph, x: Value): Value => shuffle(g, x, x, [2, 3, 2, 3]);

/** Two f64x2 that hold the four lanes of `x`. */
export const promote = (g: Graph, x: Value): [Value, Value] => [
  g.op("f64x2.promote_low_f32x4", x),
  g.op("f64x2.promote_low_f32x4", upper(g, x)),
];

/** Joins the lower halves of two vectors. */
export const join = (g: Graph, low: Value, high: Value): Value => shuffle(g, low, high, [0, 1, 4, 5]);

export const demote = (g: Graph, low: Value, high: Value): Value =>
  join(g, g.op("f32x4.demote_f64x2_zero", low), g.op("f32x4.demote_f64x2_zero", high));
