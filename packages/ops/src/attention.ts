import {
  arange,
  aux,
  DTypeError,
  defineOp,
  full,
  maybe,
  one,
  out,
  required,
  ShapeError,
  type Spec,
  show,
  statisticsOf,
  type Tensor,
  TensorError,
} from "@x/tensor";
import { expectDType, expectFloat, expectSame, expectStatistics } from "./expect.ts";

interface Operands {
  readonly q: Spec;
  readonly k: Spec;
  readonly v: Spec;
  readonly keyMask: Spec | undefined;
}

/** Checks q [B, H, Sq, D], k [B, G, Sk, D], v [B, G, Sk, Dv], keyMask [B, Sk]; the result's shape. */
export function checkAttention(who: string, { q, k, v, keyMask }: Operands, scale: number): Spec {
  expectFloat(who, "q", q);
  expectDType(who, "k", k, q, "q");
  expectDType(who, "v", v, q, "q");
  for (const [name, spec] of Object.entries({ q, k, v }))
    if (spec.shape.length !== 4) throw new ShapeError(`${who}: ${name} must be [batch, heads, length, headDim], got ${show(spec.shape)}.`);
  const [batch, heads, length, dim] = q.shape as [number, number, number, number];
  const [kvHeads, keys] = [k.shape[1]!, k.shape[2]!];
  if (!Number.isFinite(scale))
    throw new TensorError(`${who}: scale must be a finite number, got ${scale}. It is usually 1 / sqrt(headDim).`);
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
export function weights(q: Tensor, k: Tensor, mask: Tensor | undefined, scale: number): { p: Tensor; lse: Tensor } {
  const wide = statisticsOf(q.dtype);
  const s = q.cast(wide).matmul(repeatHeads(k, q.shape[1]!).cast(wide).transpose()).mul(scale);
  if (k.shape[2] === 0) return { p: s, lse: full(s.shape.slice(0, 3), Number.POSITIVE_INFINITY, s) };
  if (!mask) {
    const largest = s.max(-1, { keepDims: true });
    const e = s.sub(largest).exp();
    const total = e.sum(-1, { keepDims: true });
    return { p: e.div(total), lse: total.log().add(largest).squeeze(-1) };
  }
  const seen = mask.expand(s.shape);
  // A finite stand-in, then selection: nothing infinite is computed with.
  const hidden = seen.where(s, -1e30);
  const largest = hidden.max(-1, { keepDims: true });
  const e = seen.where(hidden.sub(largest).exp(), s.zerosLike());
  const total = e.sum(-1, { keepDims: true });
  const any = total.gt(0);
  const safe = any.where(total, total.onesLike());
  const lse = any.where(safe.log().add(largest), Number.POSITIVE_INFINITY);
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
  infer: ({ q, k, v, keyMask }, { scale }) => {
    const o = checkAttention("attention", { q, k, v, keyMask }, scale);
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
  infer: ({ q, k, v, keyMask, o, dO, ...rows }, { scale }) => {
    const result = checkAttention("attentionBackward", { q, k, v, keyMask }, scale);
    expectSame("attentionBackward", "o", o, result, "the result");
    if (dO) expectSame("attentionBackward", "dO", dO, result, "the result");
    for (const name of ["lse", "dLse"] as const) if (rows[name]) expectStatistics("attentionBackward", name, rows[name], q, "q");
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
    const g = (dO ?? o.zerosLike()).cast(wide);
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
