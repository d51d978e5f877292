import { arange, drawUniform, full, statisticsOf, type Tensor } from "@x/tensor";
import type { AttentionAttrs } from "./attention-check.ts";
import { countsOf } from "./block-map/counts.ts";

export interface ScoreInputs {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly keyMask: Tensor | undefined;
  readonly map: Tensor | undefined;
  readonly bias: Tensor | undefined;
}

/** Scores [B, H, Sq, Sk] in f32 (f64 for f64). */
export interface Scores {
  /** What softmax is taken of, where it is seen. */
  readonly s: Tensor;
  /** Who may look at whom, broadcastable to s; undefined: everyone at everything. */
  readonly seen: Tensor | undefined;
  /** The derivative of the cap; undefined: 1. */
  readonly slope: Tensor | undefined;
}

/** Key or value heads repeated for the query heads that share them: head h reads head floor(h / group). */
export function repeatHeads(x: Tensor, heads: number): Tensor {
  const [batch, kvHeads, length, dim] = x.shape as [number, number, number, number];
  if (kvHeads === heads) return x;
  const group = heads / kvHeads;
  return x.unsqueeze(2).expand([batch, kvHeads, group, length, dim]).reshape([batch, heads, length, dim]);
}

/** Sums over the query heads that share one: the transpose of `repeatHeads`. */
export function sumHeads(x: Tensor, kvHeads: number): Tensor {
  const [batch, heads, length, dim] = x.shape as [number, number, number, number];
  return heads === kvHeads ? x : x.reshape([batch, kvHeads, heads / kvHeads, length, dim]).sum(2);
}

/** Scale, cap, bias, then what is seen, in this order. */
export function scoresOf({ q, k, keyMask, map, bias }: ScoreInputs, { scale, causal, softcap }: AttentionAttrs): Scores {
  const [batch, heads, queries] = q.shape as [number, number, number, number];
  const keys = k.shape[2]!;
  const wide = statisticsOf(q.dtype);
  const scaled = q.cast(wide).matmul(repeatHeads(k, heads).cast(wide).transpose()).mul(scale);
  const bent = softcap > 0 ? scaled.div(softcap).tanh() : undefined;
  const capped = bent ? bent.mul(softcap) : scaled;
  const biased = bias ? capped.add(biasByPair(bias, queries, keys)) : capped;
  const counts = map && scaled.size > 0 ? countsOf(map, { batch, heads, queries, keys }, wide) : undefined;
  const present = keyMask?.reshape([batch, 1, 1, keys]);
  const allowed = counts ? counts.ne(0) : causal ? visible(q, keys) : undefined;
  return {
    s: counts ? biased.add(counts.maximum(1).log()) : biased,
    seen: allowed && present ? allowed.and(present) : (allowed ?? present),
    slope: bent?.square().neg().add(1),
  };
}

/** Causal sight, bool [1, 1, Sq, Sk]: the last query is aligned with the last key. */
function visible(q: Tensor, keys: number): Tensor {
  const [queries, { device }] = [q.shape[2]!, q];
  const last = arange(queries, { device })
    .unsqueeze(1)
    .add(keys - queries);
  return arange(keys, { device }).le(last).expand([1, 1, queries, keys]);
}

/** Which entry of a table [H, entries] the distance of each query and key takes, i32 [Sq * Sk]: the middle one where they stand at one position. */
export function distances(entries: number, queries: number, keys: number, like: Tensor): Tensor {
  const { device } = like;
  const query = arange(queries, { device })
    .unsqueeze(1)
    .add(keys - queries);
  const entry = arange(keys, { device })
    .sub(query)
    .add((entries - 1) / 2);
  return entry
    .maximum(0)
    .minimum(entries - 1)
    .reshape([queries * keys]);
}

const biasByPair = (bias: Tensor, queries: number, keys: number): Tensor => {
  const [heads, entries] = bias.shape as [number, number];
  return bias.take(distances(entries, queries, keys, bias), 1).reshape([heads, queries, keys]);
};

/** The softmax of scores over what is seen, and its log-sum-exp; rows that see nothing weigh nothing and have +infinity. */
export function weights({ s, seen }: Pick<Scores, "s" | "seen">): { p: Tensor; lse: Tensor } {
  if (s.shape[3] === 0) return { p: s, lse: full(s.shape.slice(0, 3), Number.POSITIVE_INFINITY, s) };
  if (!seen) {
    const largest = s.max(-1, { keepDims: true });
    const e = s.sub(largest).exp();
    const total = e.sum(-1, { keepDims: true });
    return { p: e.div(total), lse: total.log().add(largest).squeeze(-1) };
  }
  const visible = seen.expand(s.shape);
  // A finite stand-in, then selection: nothing infinite is computed with.
  const hidden = visible.where(s, -1e30);
  const largest = hidden.max(-1, { keepDims: true });
  const e = visible.where(hidden.sub(largest).exp(), s.zerosLike());
  const total = e.sum(-1, { keepDims: true });
  const any = total.gt(0);
  const safe = any.where(total, total.onesLike());
  const lse = any.where(safe.log().add(largest), Number.POSITIVE_INFINITY);
  return { p: e.div(safe), lse: lse.squeeze(-1) };
}

/** What dropout multiplies the weights p [B, H, Sq, Sk] by, 0 or 1 / (1 - dropout); the draw's element is the position in p. Undefined: nothing is dropped. */
export function dropped(p: Tensor, key: Tensor | undefined, { dropout, ordinal }: AttentionAttrs): Tensor | undefined {
  if (dropout === 0 || !key) return undefined;
  if (dropout === 1) return p.zerosLike();
  return drawUniform(key, ordinal, p.shape)
    .ge(dropout)
    .where(full(p.shape, 1 / (1 - dropout), p), p.zerosLike());
}
