import { noGrad, type Tensor } from "@x/tensor";
import type { Features } from "./features.ts";
import { nothing } from "./prefix.ts";

/** Keys and values as sums take them. Heads of keys and values may be fewer than those of queries. */
export interface KeysAndValues {
  readonly keys: Features;
  /** [batch, kvHeads, length, valueDim] */
  readonly v: Tensor;
  /** [batch, 1, length, 1], 1 where a key counts and 0 where not; all count if absent. */
  readonly present?: Tensor | undefined;
}

/** sum of phi(q) phi(k) v and of phi(q) phi(k), both times exp(-stabilizer). */
export interface Sums {
  /** [batch, heads, length, valueDim] */
  readonly numerator: Tensor;
  /** [batch, heads, length, 1] */
  readonly denominator: Tensor;
  /** [batch, kvHeads, 1 or length, 1] */
  readonly stabilizer: Tensor | undefined;
}

/** "keys": a masked key counts nowhere. "values-only": its value is zero, but it still adds to what is divided by, as in lucidrains' performer-pytorch. */
export type MaskMode = "keys" | "values-only";

/** What does not count becomes zeros, by selection: padding may hold anything. */
export function masked({ keys, v }: KeysAndValues, keyMask: Tensor | undefined, mode: MaskMode): KeysAndValues {
  if (!keyMask) return { keys, v };
  const seen = keyMask.reshape([keyMask.shape[0]!, 1, keyMask.shape[1]!, 1]);
  const select = (x: Tensor, otherwise: number) => seen.expand(x.shape).where(x, otherwise);
  if (mode === "values-only") return { keys, v: select(v, 0) };
  const { values, logScale, floor } = keys;
  return {
    keys: { values: select(values, 0), logScale: logScale && select(logScale, nothing), floor },
    v: select(v, 0),
    present: seen.cast(v.dtype),
  };
}

/** The floor, where nothing scales, is a part of the values. */
export function withFloor({ keys, v, present }: KeysAndValues): KeysAndValues {
  const { values, logScale, floor } = keys;
  if (floor === 0 || logScale) return { keys, v, present };
  return { keys: { values: values.add(present ? present.mul(floor) : floor), floor: 0 }, v, present };
}

/** The same keys relative to the largest scale of all, which is handed out beside them. */
export function withoutScales({ keys, v, present }: KeysAndValues): KeysAndValues & { readonly stabilizer: Tensor | undefined } {
  const { values, logScale, floor } = keys;
  const stabilizer = logScale && noGrad(() => logScale.max(2, { keepDims: true }));
  const relative = stabilizer ? values.mul(logScale!.sub(stabilizer).exp()) : values;
  return { ...withFloor({ keys: { values: relative, floor }, v, present }), stabilizer };
}

/** Sums over all keys: q features [batch, heads, queries, features]. */
export function allSums(q: Tensor, given: KeysAndValues): Sums {
  const { keys, v, stabilizer } = withoutScales(given);
  const [batch, heads, queries, features] = q.shape as [number, number, number, number];
  const kvHeads = v.shape[1]!;
  // Query heads that share keys are rows of one product.
  const rows = q.reshape([batch, kvHeads, (heads / kvHeads) * queries, features]);
  const sums = keys.values.transpose().matmul(v);
  const keySums = keys.values.sum(2).unsqueeze(-1);
  return {
    numerator: rows.matmul(sums).reshape([batch, heads, queries, v.shape[3]!]),
    denominator: rows.matmul(keySums).reshape([batch, heads, queries, 1]),
    stabilizer,
  };
}
