import { u32 } from "../../device/launch.ts";
import type { Place, Planner } from "../planner.ts";
import { blockSize } from "./blocking.ts";
import { vectorsOf } from "./rows.ts";

/** Extents of attention, and its parameters in all launches. */
export function extentsOf(p: Planner) {
  const [q, k, v] = [p.spec("q").shape, p.spec("k").shape, p.spec("v").shape];
  const [batch, heads, queries, dim] = q as [number, number, number, number];
  const [kvHeads, keys, valueDim] = [k[1]!, k[2]!, v[3]!];
  const [keyVectors, valueVectors] = [vectorsOf(dim), vectorsOf(valueDim)];
  const params = {
    ...{ batch: u32(batch), heads: u32(heads), kv_heads: u32(kvHeads), group: u32(heads / kvHeads) },
    ...{ queries: u32(queries), keys: u32(keys), key_vectors: u32(keyVectors), value_vectors: u32(valueVectors) },
  };
  return { batch, heads, kvHeads, queries, keys, dim, valueDim, keyVectors, valueVectors, params };
}
export type Extents = ReturnType<typeof extentsOf>;

export const blocksOf = (rows: number): number => Math.ceil(rows / blockSize);

/** Where rows of an output are computed: in place where vectors fit, for any dtype; else as single numbers. */
export const rowsTarget = (p: Planner, name: string, dim: number): Place => (dim % 4 === 0 ? p.target(name) : p.output(name));
