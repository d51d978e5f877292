import { decodeAttention, writeRows } from "@x/ops";
import { type DType, dtypes, type Spec } from "@x/tensor";
import { fitsHead, heads, launchAttention, reachOf } from "./attention.ts";
import { wasmKernel } from "./kernel.ts";
import type { Planner } from "./planner.ts";
import { ceilDiv, product } from "./work.ts";

/** Queries of a tile of the kernel that splits the keys, and how it splits them: by at least so many, in at most so many parts. */
const [tile, leastKeys, mostSplits] = [96, 192, 32];

/** What an element of a cache is, as the kernel has it. */
const kindOf = ({ dtype }: Spec): number => (["f32", "u8", "f16", "bf16"] as DType[]).indexOf(dtype);

export const decodeAttentionKernel = wasmKernel(decodeAttention, {
  layout: { q: "rows", k: "rows", v: "rows" },
  accepts: ({ specs }) => fitsHead(specs),
  plan(p, { specs, attrs: { scale, softcap, window, ring } }) {
    // Many queries over a plain cache are full attention up to a length.
    const [, count, queries] = specs.q.shape as [number, number, number];
    const columns = (count / specs.k.shape[1]!) * queries;
    const plain = columns > tile && !ring && !p.has("pages") && !window && !p.has("keyScales") && !p.has("valueScales");
    const { args: found, batch } = heads(p, specs, { stored: !plain });
    const { keys, ...paged } = paging(p, "k");
    const args = { ...found, keys };
    const { kvHeads, dim, valueDim } = args;
    const rows = batch * count * queries;
    const seen = { keyMask: p.maybe("keyMask"), lengths: p.input("lengths"), scale, softcap };
    const table = p.has("bias") && { bias: p.input("bias"), reach: reachOf(p) };
    const scales = { keyScales: p.maybe("keyScales"), valueScales: p.maybe("valueScales") };
    if (plain) return launchAttention(p, { ...args, ...seen, ...table, causal: 1, o: p.output("o"), lse: p.scratch(4 * rows) }, batch);
    const most = window ? Math.min(keys, window + ceilDiv(Math.min(tile, columns), count / kvHeads)) : keys;
    const chunk = Math.max(leastKeys, ceilDiv(ceilDiv(most, mostSplits), 48) * 48);
    const splits = Math.max(1, ceilDiv(most, chunk));
    const [partial, partialLse] = [p.scratch(4 * rows * splits * valueDim), p.scratch(4 * rows * splits)];
    const cost = (Math.min(tile, columns) * Math.min(chunk, keys) * (dim + valueDim)) / 4;
    const layout = { ...scales, keyKind: kindOf(specs.k), valueKind: kindOf(specs.v), ring: ring ? 1 : 0, window, ...paged };
    const units = batch * kvHeads * ceilDiv(columns, tile) * splits;
    p.run("attention_decode", { ...args, ...seen, ...table, ...layout, o: partial, lse: partialLse, splits, chunk }, units, cost);
    p.run("attention_combine", { o: p.output("o"), partial, partialLse, splits, valueDim }, rows, splits * valueDim);
  },
});

/** Positions of an entry of a cache; where it lies in pages also how. */
function paging(p: Planner, cache: string) {
  const [pool, , extent] = p.spec(cache).shape as [number, number, number];
  if (!p.has("pages")) return { keys: extent, page: undefined };
  return { keys: p.spec("pages").shape[1]! * extent, pages: p.input("pages"), page: extent, pool };
}

/** In place where the cache is read for the last time; else into a copy. */
export const writeRowsKernel = wasmKernel(writeRows, {
  layout: { x: "rows" },
  plan(p, { specs: { cache, x }, attrs: { ring }, reuses }) {
    const { bytes: size } = dtypes[cache.dtype];
    const out = p.target("y");
    if (!reuses("y")) p.copy([product(cache.shape)], size, out, [1], p.raw("cache").place, [1]);
    const [, count, , dim] = cache.shape as [number, number, number, number];
    const { keys: capacity, ...paged } = paging(p, "cache");
    const [batch, , rows] = x.shape as [number, number, number];
    const from = p.raw("x");
    const strides = { srcBatch: from.strides[0]!, srcHead: from.strides[1]!, srcRow: from.strides[2]! };
    const args = { out, src: from.place, starts: p.input("starts"), size, heads: count, rows, capacity, dim, ring: ring ? 1 : 0, ...paged };
    p.run("write_rows", { ...args, ...strides }, batch * count * rows, (dim * size) / 16 + 8);
  },
});
