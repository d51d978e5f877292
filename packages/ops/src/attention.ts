import {
  arange,
  aux,
  DTypeError,
  defineOp,
  maybe,
  one,
  out,
  required,
  ShapeError,
  type Spec,
  show,
  statisticsOf,
  type Tensor,
} from "@x/tensor";
import { expectDType, expectFloat } from "./expect.ts";

interface Operands {
  readonly q: Spec;
  readonly k: Spec;
  readonly v: Spec;
  readonly keyMask: Spec | undefined;
}

/** Checks q [B, H, Sq, D], k [B, G, Sk, D], v [B, G, Sk, Dv], keyMask [B, Sk]; the result's shape. */
export function checkAttention(who: string, { q, k, v, keyMask }: Operands): Spec {
  expectFloat(who, "q", q);
  expectDType(who, "k", k, q);
  expectDType(who, "v", v, q);
  for (const [name, spec] of Object.entries({ q, k, v }))
    if (spec.shape.length !== 4) throw new ShapeError(`${who}: ${name} must be [batch, heads, length, headDim], got ${show(spec.shape)}.`);
  const [batch, heads, length, dim] = q.shape as [number, number, number, number];
  const [kvHeads, keys] = [k.shape[1]!, k.shape[2]!];
  if (k.shape[0] !== batch || v.shape[0] !== batch)
    throw new ShapeError(`${who}: batches differ: q ${show(q.shape)}, k ${show(k.shape)}, v ${show(v.shape)}.`);
  if (k.shape[3] !== dim) throw new ShapeError(`${who}: q and k must have one headDim, got ${dim} and ${k.shape[3]}.`);
  if (v.shape[1] !== kvHeads || v.shape[2] !== keys)
    throw new ShapeError(`${who}: k ${show(k.shape)} and v ${show(v.shape)} must agree in heads and length.`);
  if (kvHeads === 0 || heads % kvHeads !== 0)
    throw new ShapeError(`${who}: the ${heads} query heads must be a multiple of the ${kvHeads} key-value heads.`);
  if (keyMask && show(keyMask.shape) !== show([batch, keys]))
    throw new ShapeError(`${who}: keyMask must be [${batch}, ${keys}], got ${show(keyMask.shape)}.`);
  if (keyMask && keyMask.dtype !== "bool")
    throw new DTypeError(`${who}: keyMask must be bool (true: attend), got ${keyMask.dtype}. Write .ne(0).`);
  return { shape: [batch, heads, length, v.shape[3]!], dtype: q.dtype };
}

/** Who may look at whom, bool, broadcastable to [B, H, Sq, Sk]; undefined: everyone at everything. Causal aligns the last query with the last key. */
function visible(q: Tensor, k: Tensor, keyMask: Tensor | undefined, causal: boolean): Tensor | undefined {
  const [queries, keys] = [q.shape[2]!, k.shape[2]!];
  const { device } = q;
  const order = causal
    ? arange(keys, { device }).le(
        arange(queries, { device })
          .unsqueeze(1)
          .add(keys - queries),
      )
    : undefined;
  const present = keyMask?.reshape([keyMask.shape[0]!, 1, 1, keys]);
  return order && present ? order.expand([1, 1, queries, keys]).and(present) : (order ?? present);
}

/** Key or value heads repeated for the query heads that share them: head h reads head floor(h / group). */
export function repeatHeads(x: Tensor, heads: number): Tensor {
  const [batch, kvHeads, length, dim] = x.shape as [number, number, number, number];
  if (kvHeads === heads) return x;
  const group = heads / kvHeads;
  return x.unsqueeze(2).expand([batch, kvHeads, group, length, dim]).reshape([batch, heads, length, dim]);
}

/** Scores and weights of dense attention in f32; rows that see nothing weigh nothing. */
function weights(q: Tensor, k: Tensor, mask: Tensor | undefined, scale: number): { p: Tensor; lse: Tensor } {
  const wide = statisticsOf(q.dtype);
  const s = q.cast(wide).matmul(repeatHeads(k, q.shape[1]!).cast(wide).transpose()).mul(scale);
  if (!mask) {
    const largest = s.max(-1, { keepDims: true });
    const e = s.sub(largest).exp();
    const total = e.sum(-1, { keepDims: true });
    return { p: e.div(total), lse: total.log().add(largest).squeeze(-1) };
  }
  const seen = mask.expand(s.shape);
  // A finite stand-in, then selection: nothing infinite is computed with.
  const hidden = seen.where(s, s.mul(0).add(-1e30));
  const largest = hidden.max(-1, { keepDims: true });
  const e = seen.where(hidden.sub(largest).exp(), s.zerosLike());
  const total = e.sum(-1, { keepDims: true });
  const any = total.gt(0);
  const safe = any.where(total, total.onesLike());
  const lse = any.where(safe.log().add(largest), total.zerosLike().add(Number.POSITIVE_INFINITY));
  return { p: e.div(safe), lse: lse.squeeze(-1) };
}

/**
 * softmax(scale q k^T) v with an online softmax: q [B, H, Sq, D], k [B, G, Sk, D], v [B, G, Sk, Dv] -> [B, H, Sq, Dv]. Query head h reads key-value head floor(h G / H) in place.
 * `causal` aligns the last query with the last key; `keyMask` [B, Sk] is true where a key may be seen. A row that sees nothing gives zeros, zero gradient and
 * an lse of +infinity. `lse` [B, H, Sq] is the log-sum-exp of the scaled scores. Dao 2023, arXiv 2307.08691.
 */
export const attention = defineOp({
  name: "attention",
  inputs: { q: one(), k: one(), v: one(), keyMask: maybe() },
  attrs: { scale: required<number>(), causal: false },
  outputs: { o: out(), lse: aux() },
  infer: ({ q, k, v, keyMask }) => {
    const o = checkAttention("attention", { q, k, v, keyMask });
    return { o, lse: { shape: q.shape.slice(0, 3), dtype: statisticsOf(q.dtype) } };
  },
  reference: ({ q, k, v, keyMask }, { scale, causal }) => {
    const { p, lse } = weights(q, k, visible(q, k, keyMask, causal), scale);
    return { o: p.matmul(repeatHeads(v, q.shape[1]!).cast(p.dtype)).cast(q.dtype), lse };
  },
  saves: ["q", "k", "v", "keyMask", "o", "lse"],
  grad: ({ saved: { q, k, v, keyMask, o, lse }, attrs, upstream }) => {
    const { dq, dk, dv } = attentionBackward({ q, k, v, keyMask, o, lse, dO: upstream.o, dLse: upstream.lse }, attrs);
    return { q: dq, k: dk, v: dv };
  },
});

/** Sums gradients of repeated heads over the query heads that share them. */
function sumHeads(x: Tensor, kvHeads: number): Tensor {
  const [batch, heads, length, dim] = x.shape as [number, number, number, number];
  return heads === kvHeads ? x : x.reshape([batch, kvHeads, heads / kvHeads, length, dim]).sum(2);
}

/** The gradient of attention by recomputation: weights again from q, k and the log-sum-exp; delta = rowsum(dO * o) - dLse. */
export const attentionBackward = defineOp({
  name: "attentionBackward",
  inputs: { q: one(), k: one(), v: one(), keyMask: maybe(), o: one(), lse: one(), dO: maybe(), dLse: maybe() },
  attrs: { scale: required<number>(), causal: false },
  outputs: { dq: out(), dk: out(), dv: out() },
  infer: ({ q, k, v, keyMask }) => {
    checkAttention("attentionBackward", { q, k, v, keyMask });
    return { dq: q, dk: k, dv: v };
  },
  reference: ({ q, k, v, keyMask, o, lse, dO, dLse }, { scale, causal }) => {
    const [heads, kvHeads] = [q.shape[1]!, k.shape[1]!];
    const wide = lse.dtype;
    const [keys, values] = [repeatHeads(k, heads).cast(wide), repeatHeads(v, heads).cast(wide)];
    const s = q.cast(wide).matmul(keys.transpose()).mul(scale);
    const mask = visible(q, k, keyMask, causal);
    // Rows that see nothing have lse = +infinity; their weights are selected to zero, and never computed from it.
    const any = lse.lt(1e38);
    const finite = any.where(lse, lse.zerosLike()).unsqueeze(-1);
    const seen = mask ? mask.expand(s.shape).and(any.unsqueeze(-1)) : any.unsqueeze(-1).expand(s.shape);
    const p = seen.where(seen.where(s.sub(finite), s.zerosLike()).exp(), s.zerosLike());
    const g = (dO ?? o.mul(0)).cast(wide);
    const rowSum = g.mul(o.cast(wide)).sum(-1);
    const delta = (dLse ? rowSum.sub(any.where(dLse, dLse.zerosLike())) : rowSum).unsqueeze(-1);
    const dS = p.mul(g.matmul(values.transpose()).sub(delta)).mul(scale);
    return {
      dq: dS.matmul(keys).cast(q.dtype),
      dk: sumHeads(dS.transpose().matmul(q.cast(wide)), kvHeads).cast(q.dtype),
      dv: sumHeads(p.transpose().matmul(g), kvHeads).cast(q.dtype),
    };
  },
});

/**
 * Attention of a few new queries over a cache: q [B, H, Sq, D], k [B, G, capacity, D], v [B, G, capacity, Dv], lengths i32 [B] counts the valid keys, the new ones included. Query i
 * sees key j where j < lengths[b] - Sq + 1 + i, and keyMask [B, capacity] is true.
 */
export const decodeAttention = defineOp({
  name: "decodeAttention",
  inputs: { q: one(), k: one(), v: one(), lengths: one(), keyMask: maybe() },
  attrs: { scale: required<number>() },
  outputs: { o: out() },
  infer: ({ q, k, v, lengths, keyMask }) => {
    const o = checkAttention("decodeAttention", { q, k, v, keyMask });
    if (lengths.dtype !== "i32" || show(lengths.shape) !== show([q.shape[0]!]))
      throw new ShapeError(`decodeAttention: lengths must be i32 [${q.shape[0]}], got ${lengths.dtype} ${show(lengths.shape)}.`);
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
    const { p } = weights(q, k, mask, scale);
    // What lies beyond the length may be anything, NaN too: it is selected away before it is multiplied.
    const used = arange(capacity, { device })
      .reshape([1, 1, capacity, 1])
      .lt(lengths.reshape([batch, 1, 1, 1]));
    const values = used.where(v, v.zerosLike());
    return { o: p.matmul(repeatHeads(values, q.shape[1]!).cast(p.dtype)).cast(q.dtype) };
  },
});

/**
 * A cache with new rows written at starts[b], ..., starts[b] + n - 1 of each batch entry: cache [B, G, capacity, D], x [B, G, n, D], starts i32 [B]. Rows that fall outside are dropped.
 */
export const writeRows = defineOp({
  name: "writeRows",
  inputs: { cache: one(), x: one(), starts: one() },
  outputs: { y: out() },
  infer: ({ cache, x, starts }) => {
    expectDType("writeRows", "x", x, cache);
    const fits = cache.shape.length === 4 && x.shape.length === 4 && [0, 1, 3].every((axis) => x.shape[axis] === cache.shape[axis]);
    if (!fits)
      throw new ShapeError(`writeRows: x ${show(x.shape)} must agree with cache ${show(cache.shape)} on every axis but the length.`);
    if (starts.dtype !== "i32" || show(starts.shape) !== show([cache.shape[0]!]))
      throw new ShapeError(`writeRows: starts must be i32 [${cache.shape[0]}], got ${starts.dtype} ${show(starts.shape)}.`);
    return { y: cache };
  },
  reference: ({ cache, x, starts }) => {
    const [batch, heads, capacity, dim] = cache.shape as [number, number, number, number];
    const n = x.shape[2]!;
    const from = arange(capacity, { device: cache.device })
      .reshape([1, 1, capacity, 1])
      .sub(starts.reshape([batch, 1, 1, 1]));
    const inside = from.ge(0).and(from.lt(n));
    const picked = x.gather(from.expand([batch, heads, capacity, dim]), 2);
    return { y: inside.where(picked, cache) };
  },
  mayReuse: { y: "cache" },
});
