import { decodeAttention, writeRows } from "@x/ops";
import { dtypes } from "@x/tensor";
import { fitsHead, heads, launchAttention } from "./attention.ts";
import { wasmKernel } from "./kernel.ts";
import { ceilDiv, product } from "./work.ts";

/** Queries that the kernel for few of them takes per key head, and how it splits the keys: by at least so many, in at most so many parts. */
const [fewQueries, leastKeys, mostSplits] = [96, 192, 32];

export const decodeAttentionKernel = wasmKernel(decodeAttention, {
  layout: { q: "rows", k: "rows", v: "rows" },
  accepts: ({ specs }) => fitsHead(specs),
  plan(p, { specs, attrs: { scale } }) {
    const { args, batch } = heads(p, specs);
    const { heads: count, kvHeads, queries, keys, dim, valueDim } = args;
    const seen = { keyMask: p.maybe("keyMask"), lengths: p.input("lengths"), causal: 1, scale };
    const rows = batch * count * queries;
    if ((count / kvHeads) * queries > fewQueries)
      return launchAttention(p, { ...args, ...seen, o: p.output("o"), lse: p.scratch(4 * rows) }, batch);
    const chunk = Math.max(leastKeys, ceilDiv(ceilDiv(keys, mostSplits), 48) * 48);
    const splits = Math.max(1, ceilDiv(keys, chunk));
    const [partial, partialLse] = [p.scratch(4 * rows * splits * valueDim), p.scratch(4 * rows * splits)];
    const cost = ((count / kvHeads) * queries * Math.min(chunk, keys) * (dim + valueDim)) / 4;
    p.run("attention_decode", { ...args, ...seen, o: partial, lse: partialLse, splits, chunk }, batch * kvHeads * splits, cost);
    p.run("attention_combine", { o: p.output("o"), partial, partialLse, splits, valueDim }, rows, splits * valueDim);
  },
});

/** In place where the cache is read for the last time; else into a copy. */
export const writeRowsKernel = wasmKernel(writeRows, {
  layout: { x: "rows" },
  plan(p, { specs: { cache, x }, reuses }) {
    const { bytes: size } = dtypes[cache.dtype];
    const out = p.target("y");
    if (!reuses("y")) p.copy([product(cache.shape)], size, out, [1], p.raw("cache").place, [1]);
    const [batch, count, capacity, dim] = cache.shape as [number, number, number, number];
    const rows = x.shape[2]!;
    const from = p.raw("x");
    const strides = { srcBatch: from.strides[0]!, srcHead: from.strides[1]!, srcRow: from.strides[2]! };
    const args = { out, src: from.place, starts: p.input("starts"), size, heads: count, rows, capacity, dim };
    p.run("write_rows", { ...args, ...strides }, batch * count * rows, (dim * size) / 16 + 8);
  },
});
