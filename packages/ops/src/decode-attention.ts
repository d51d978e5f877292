import { arange, defineOp, maybe, one, out, required, statisticsOf } from "@x/tensor";
import { checkHeads } from "./attention-check.ts";
import { repeatHeads, weights } from "./attention-scores.ts";
import { expectEntries } from "./expect.ts";

/**
 * Attention of a few new queries over a cache: q [B, H, Sq, D], k [B, G, capacity, D], v [B, G, capacity, Dv], lengths i32 [B] counts the valid keys, the new ones included. Query i
 * sees key j where j < lengths[b] - Sq + 1 + i and keyMask [B, capacity] is true; what lies beyond the lengths is never read as a number. A row that sees nothing gives
 * zeros. -> [B, H, Sq, Dv].
 */
export const decodeAttention = defineOp({
  name: "decodeAttention",
  inputs: { q: one(), k: one(), v: one(), lengths: one(), keyMask: maybe() },
  attrs: { scale: required<number>() },
  outputs: { o: out() },
  infer: ({ q, k, v, lengths, keyMask }, { scale }) => {
    const o = checkHeads("decodeAttention", { q, k, v, keyMask }, scale);
    expectEntries("decodeAttention", "lengths", lengths, q.shape[0]!);
    return { o };
  },
  reference: ({ q, k, v, lengths, keyMask }, { scale }) => {
    const [batch, , queries] = q.shape as [number, number, number, number];
    const capacity = k.shape[2]!;
    const { device } = q;
    const last = lengths
      .reshape([batch, 1, 1, 1])
      .add(arange(queries, { device }).reshape([1, 1, queries, 1]))
      .sub(queries);
    const inLength = arange(capacity, { device }).reshape([1, 1, 1, capacity]).le(last);
    const mask = keyMask ? inLength.and(keyMask.reshape([batch, 1, 1, capacity])) : inLength;
    // What lies beyond the length may be anything, NaN too: it is selected away before anything multiplies it.
    const used = arange(capacity, { device })
      .reshape([1, 1, capacity, 1])
      .lt(lengths.reshape([batch, 1, 1, 1]));
    const [keys, values] = [used.where(k, 0), used.where(v, 0)];
    const wide = statisticsOf(q.dtype);
    const s = q.cast(wide).matmul(repeatHeads(keys, q.shape[1]!).cast(wide).transpose()).mul(scale);
    const { p } = weights({ s, seen: mask });
    return { o: p.matmul(repeatHeads(values, q.shape[1]!).cast(p.dtype)).cast(q.dtype) };
  },
});
