import { aux, defineOp, maybe, one, out, required, statisticsOf, type Tensor, TensorError, zeros } from "@x/tensor";
import { checkAttention } from "./attention-check.ts";
import { distances, dropped, repeatHeads, scoresOf, sumHeads, weights } from "./attention-scores.ts";
import { expectSame, expectStatistics } from "./expect.ts";

const inputs = { q: one(), k: one(), v: one(), keyMask: maybe(), map: maybe(), bias: maybe(), key: maybe() } as const;
const attrs = { scale: required<number>(), causal: false, softcap: 0, dropout: 0, ordinal: 0 };

/**
 * softmax(scores) v with an online softmax: q [B, H, Sq, D], k [B, G, Sk, D], v [B, G, Sk, Dv] -> [B, H, Sq, Dv]. Query head h reads key-value head floor(h G / H) in place.
 *
 * The scores are scale q k^T; with a `softcap` c > 0, c tanh(scores / c); then `bias` is added, f32 [H, 2 reach + 1]: entry d + reach of its head at distance d, clamped to the table's ends. Query
 * i stands at position i + Sk - Sq, so the last query is aligned with the last key, in distances, maps and `causal` alike. `map` (see `blockMap`) says who sees whom, and how often: m times
 * adds ln m; `keyMask` bool [B, Sk] is true where a key may be seen. A row that sees nothing gives zeros, zero gradient and an lse of +infinity. `lse` [B, H, Sq] is the log-sum-exp of the scores.
 *
 * `dropout` zeroes weights with that probability and scales the rest by 1 / (1 - dropout), after the softmax: a draw of `key` (a generator's) and `ordinal` whose element is the position
 * in [B, H, Sq, Sk], modulo 2^32; the backward pass draws it again. Dao 2023, arXiv 2307.08691.
 */
export const attention = defineOp({
  name: "attention",
  version: 2,
  inputs,
  attrs,
  outputs: { o: out(), lse: aux() },
  infer: (specs, attrs) => {
    const { q } = specs;
    return { o: checkAttention("attention", specs, attrs), lse: { shape: q.shape.slice(0, 3), dtype: statisticsOf(q.dtype) } };
  },
  reference: ({ v, key, ...seen }, attrs) => {
    const { q } = seen;
    const { p, lse } = weights(scoresOf(seen, attrs));
    const z = dropped(p, key, attrs);
    return { o: (z ? p.mul(z) : p).matmul(repeatHeads(v, q.shape[1]!).cast(p.dtype)).cast(q.dtype), lse };
  },
  saves: ["q", "k", "v", "keyMask", "map", "bias", "key", "o", "lse"],
  grad: ({ saved: { o, lse, ...given }, attrs, upstream, needs }) => {
    const biasGradient = given.bias !== undefined && needs("bias");
    const { dq, dk, dv, dBias } = attentionBackward({ ...given, o, lse, dO: upstream.o, dLse: upstream.lse }, { ...attrs, biasGradient });
    return { q: dq, k: dk, v: dv, bias: biasGradient ? dBias : undefined };
  },
});

/**
 * The gradient of attention by recomputation: weights again from q, k and the log-sum-exp; delta = rowsum(dO * o) - dLse. `dBias`, f32 like bias, sums over the batch; it is
 * [0] unless `biasGradient` asks for it.
 */
export const attentionBackward = defineOp({
  name: "attentionBackward",
  version: 2,
  inputs: { ...inputs, o: one(), lse: one(), dO: maybe(), dLse: maybe() },
  attrs: { ...attrs, biasGradient: false },
  outputs: { dq: out(), dk: out(), dv: out(), dBias: out() },
  infer: (specs, attrs) => {
    const { q, k, v, bias, o, dO, lse, dLse } = specs;
    const result = checkAttention("attentionBackward", specs, attrs);
    expectSame("attentionBackward", "o", o, result, "the result");
    if (dO) expectSame("attentionBackward", "dO", dO, result, "the result");
    for (const [name, rows] of Object.entries({ lse, dLse })) if (rows) expectStatistics("attentionBackward", name, rows, q, "q");
    if (attrs.biasGradient && !bias) throw new TensorError("attentionBackward: biasGradient needs a bias, got none. Leave it false.");
    return { dq: q, dk: k, dv: v, dBias: attrs.biasGradient ? bias! : { shape: [0], dtype: statisticsOf(q.dtype) } };
  },
  reference: ({ v, key, o, lse, dO, dLse, ...given }, attrs) => {
    const { q, k, bias } = given;
    const [heads, kvHeads, wide] = [q.shape[1]!, k.shape[1]!, lse.dtype];
    const [keys, values] = [repeatHeads(k, heads).cast(wide), repeatHeads(v, heads).cast(wide)];
    const { s, seen, slope } = scoresOf(given, attrs);
    // Rows that see nothing have lse = +infinity; their weights are selected to zero, and never computed from it.
    const any = lse.lt(1e38);
    const finite = any.where(lse, lse.zerosLike()).unsqueeze(-1);
    const visible = (seen ? seen.expand(s.shape).and(any.unsqueeze(-1)) : any.unsqueeze(-1)).expand(s.shape);
    const p = visible.where(visible.where(s.sub(finite), s.zerosLike()).exp(), s.zerosLike());
    const z = dropped(p, key, attrs);
    const g = (dO ?? o.zerosLike()).cast(wide);
    const rowSum = g.mul(o.cast(wide)).sum(-1);
    const delta = (dLse ? rowSum.sub(any.where(dLse, dLse.zerosLike())) : rowSum).unsqueeze(-1);
    const dP = g.matmul(values.transpose());
    const dBiased = p.mul((z ? dP.mul(z) : dP).sub(delta));
    const dS = (slope ? dBiased.mul(slope) : dBiased).mul(attrs.scale);
    return {
      dq: dS.matmul(keys).cast(q.dtype),
      dk: sumHeads(dS.transpose().matmul(q.cast(wide)), kvHeads).cast(q.dtype),
      dv: sumHeads((z ? p.mul(z) : p).transpose().matmul(g), kvHeads).cast(q.dtype),
      dBias: attrs.biasGradient ? sumDistances(dBiased, bias!) : zeros([0], lse),
    };
  },
});

/** Sums of [B, H, Sq, Sk] over the batch and each distance: the gradient of a table [H, entries]. */
function sumDistances(x: Tensor, bias: Tensor): Tensor {
  const [, heads, queries, keys] = x.shape as [number, number, number, number];
  const entries = bias.shape[1]!;
  return x
    .sum(0)
    .reshape([heads, queries * keys])
    .putAdd(distances(entries, queries, keys, bias), 1, entries);
}
