import { arange, defineOp, isFloat, maybe, one, out, required, type Spec, statisticsOf, type Tensor, TensorError } from "@x/tensor";
import { checkBias, checkHeads, checkSoftcap } from "./attention-check.ts";
import { repeatHeads, weights } from "./attention-scores.ts";
import { cacheSpec, expectScales, joinPages, positionsHeld } from "./cache-layout.ts";
import { expectEntries } from "./expect.ts";

/**
 * Attention of a few new queries over a cache: q [B, H, Sq, D], k [B, G, capacity, D], v [B, G, capacity, Dv] -> [B, H, Sq, Dv]. lengths i32 [B] counts the positions filled, the new ones
 * included, so query i stands at lengths[b] - Sq + i and sees the keys up to there; with a `window` only so many, its own the last. keyMask bool [B, capacity] is true where a place may be seen. What
 * lies beyond the lengths is never read as a number; a query that sees nothing gives zeros.
 *
 * Scores are as in `attention`: scale q k^T, a `softcap`, then `bias` f32 [H, 2 reach + 1] by distance, clamped to the table's ends.
 *
 * The cache may lie otherwise. As a `ring` position j is at j mod capacity, and lengths may pass the capacity. In `pages`, i32 [B, P], k and v are pools [N, G, page, D] and position j lies in
 * page pages[b, j / page]: Kwon et al. 2023, arXiv 2309.06180. In u8, a number is (code - 128) times its position's scale, keyScales and valueScales f32 like k and v with a last axis of 1.
 */
export const decodeAttention = defineOp({
  name: "decodeAttention",
  version: 2,
  inputs: {
    ...{ q: one(), k: one(), v: one(), lengths: one(), keyMask: maybe(), bias: maybe(), pages: maybe() },
    ...{ keyScales: maybe(), valueScales: maybe() },
  },
  attrs: { scale: required<number>(), softcap: 0, window: 0, ring: false },
  outputs: { o: out() },
  infer: ({ q, k, v, lengths, keyMask, bias, pages, keyScales, valueScales }, { scale, softcap, window, ring }) => {
    const who = "decodeAttention";
    const seen = (name: string, cache: Spec, scalesName: string, scales: Spec | undefined): Spec => {
      if (cache.dtype === "u8") expectScales(who, scalesName, scales, cache, name, q);
      else if (scales) throw new TensorError(`${who}: ${scalesName} are for a ${name} of u8, got ${cache.dtype}. Leave them out.`);
      const { shape, dtype } = cacheSpec(who, name, cache, pages, ring);
      return { shape, dtype: dtype === "u8" && isFloat(q.dtype) ? q.dtype : dtype };
    };
    const keys = seen("k", k, "keyScales", keyScales);
    const o = checkHeads(who, { q, k: keys, v: seen("v", v, "valueScales", valueScales), keyMask }, scale);
    checkBias(who, bias, q);
    checkSoftcap(who, softcap);
    if (!Number.isInteger(window) || window < 0)
      throw new TensorError(`${who}: window must be how many keys a query sees, itself included, or 0 for all, got ${window}.`);
    expectEntries(who, "lengths", lengths, q.shape[0]!);
    return { o };
  },
  reference: ({ q, k, v, lengths, keyMask, bias, pages, keyScales, valueScales }, { scale, softcap, window, ring }) => {
    const [batch, heads, queries] = q.shape as [number, number, number, number];
    const wide = statisticsOf(q.dtype);
    const read = (cache: Tensor, scales: Tensor | undefined): Tensor => {
      const numbers = scales ? cache.cast(wide).sub(128).mul(scales.cast(wide)) : cache;
      return joinPages(numbers, pages);
    };
    const [keys, values] = [read(k, keyScales), read(v, valueScales)];
    const capacity = keys.shape[2]!;
    const filled = lengths.reshape([batch, 1, 1, 1]);
    const at = filled.add(arange(queries, { device: q.device }).reshape([1, 1, queries, 1])).sub(queries);
    const held = positionsHeld(capacity, lengths, ring);
    const near = window > 0 ? held.le(at).and(held.gt(at.sub(window))) : held.le(at);
    const mask = keyMask ? near.and(keyMask.reshape([batch, 1, 1, capacity])) : near;
    // What lies beyond the length may be anything, NaN too: it is selected away before anything multiplies it.
    const used = held.lt(filled).expand([batch, 1, 1, capacity]).reshape([batch, 1, capacity, 1]);
    const scaled = q
      .cast(wide)
      .matmul(repeatHeads(used.where(keys, 0), heads).cast(wide).transpose())
      .mul(scale);
    const capped = softcap > 0 ? scaled.div(softcap).tanh().mul(softcap) : scaled;
    const s = bias ? capped.add(biasOf(bias, held.sub(at).expand([batch, 1, queries, capacity]))) : capped;
    const { p } = weights({ s, seen: mask });
    return { o: p.matmul(repeatHeads(used.where(values, 0), heads).cast(p.dtype)).cast(q.dtype) };
  },
});

/** A table's entries at distances i32 [B, 1, Sq, Sk] -> [B, H, Sq, Sk]. */
function biasOf(bias: Tensor, distances: Tensor): Tensor {
  const [heads, entries] = bias.shape as [number, number];
  const [batch, , queries, keys] = distances.shape as [number, number, number, number];
  const entry = distances
    .add((entries - 1) / 2)
    .maximum(0)
    .minimum(entries - 1);
  return bias
    .take(entry.reshape([batch * queries * keys]), 1)
    .reshape([heads, batch, queries, keys])
    .permute([1, 0, 2, 3]);
}
