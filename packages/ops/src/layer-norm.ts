import { aux, defineOp, maybe, one, out, type Spec, statisticsOf, type Tensor } from "@x/tensor";
import { checkScale, expectFloat, expectSame, expectStatistics, lastOf, rowsOf } from "./expect.ts";

interface Statistics {
  readonly mean: Tensor;
  readonly inverse: Tensor;
}

/** Mean and inverse deviation of rows, in two passes: E[x^2] - mean^2 would cancel where the mean is large. */
function statistics(x: Tensor, eps: number): Statistics {
  const wide = x.cast(statisticsOf(x.dtype));
  const mean = wide.mean(-1, { keepDims: true });
  return { mean: mean.squeeze(-1), inverse: wide.sub(mean).square().mean(-1).add(eps).rsqrt() };
}

function normalized(x: Tensor, { mean, inverse }: Statistics): Tensor {
  return x.cast(inverse.dtype).sub(mean.unsqueeze(-1)).mul(inverse.unsqueeze(-1));
}

function scaled(xhat: Tensor, weight: Tensor | undefined, bias: Tensor | undefined, x: Tensor): Tensor {
  const y = weight ? xhat.mul(weight.cast(xhat.dtype)) : xhat;
  return (bias ? y.add(bias.cast(xhat.dtype)) : y).cast(x.dtype);
}

function check(who: string, { x, weight, bias }: { x: Spec; weight: Spec | undefined; bias: Spec | undefined }): void {
  expectFloat(who, "x", x);
  lastOf(who, "x", x);
  checkScale(who, "weight", weight, x);
  checkScale(who, "bias", bias, x);
}

/**
 * (x - mean) / sqrt(var + eps) * weight + bias over the last axis, with the biased variance. [..., dim] -> [..., dim]. Ba et al. 2016, arXiv 1607.06450.
 */
export const layerNorm = defineOp({
  name: "layerNorm",
  inputs: { x: one(), weight: maybe(), bias: maybe() },
  attrs: { eps: 1e-5 },
  outputs: { y: out(), mean: aux(), inverse: aux() },
  infer: ({ x, weight, bias }) => {
    check("layerNorm", { x, weight, bias });
    return { y: x, mean: rowsOf(x), inverse: rowsOf(x) };
  },
  reference: ({ x, weight, bias }, { eps }) => {
    const stats = statistics(x, eps);
    return { y: scaled(normalized(x, stats), weight, bias, x), ...stats };
  },
  saves: ["x", "weight", "bias", "mean", "inverse"],
  grad: ({ saved: { x, weight, bias, mean, inverse }, upstream }) => {
    const sums = throughStatistics(x, mean, inverse, upstream.mean, upstream.inverse);
    if (!upstream.y) return { x: sums };
    const { dx, dweight, dbias } = layerNormBackward({ x, weight, mean, inverse, dy: upstream.y, dsum: sums });
    return { x: dx, weight: weight && dweight, bias: bias && dbias };
  },
});

/** The gradient of layer norm from its statistics, dsum added to dx: what reaches x by other ways, as through a residual stream. dweight and dbias are [dim], summed over all rows in an order fixed by the shape. */
export const layerNormBackward = defineOp({
  name: "layerNormBackward",
  inputs: { x: one(), weight: maybe(), mean: one(), inverse: one(), dy: one(), dsum: maybe() },
  outputs: { dx: out(), dweight: out(), dbias: out() },
  infer: ({ x, weight, mean, inverse, dy, dsum }) => {
    check("layerNormBackward", { x, weight, bias: undefined });
    expectStatistics("layerNormBackward", "mean", mean, x);
    expectStatistics("layerNormBackward", "inverse", inverse, x);
    expectSame("layerNormBackward", "dy", dy, x);
    if (dsum) expectSame("layerNormBackward", "dsum", dsum, x);
    const row = { shape: x.shape.slice(-1), dtype: x.dtype };
    return { dx: x, dweight: row, dbias: row };
  },
  reference: ({ x, weight, mean, inverse, dy, dsum }) => {
    const xhat = normalized(x, { mean, inverse });
    const g = dy.cast(xhat.dtype);
    const ghat = weight ? g.mul(weight.cast(xhat.dtype)) : g;
    const dx = ghat
      .sub(ghat.mean(-1, { keepDims: true }))
      .sub(xhat.mul(ghat.mul(xhat).mean(-1, { keepDims: true })))
      .mul(inverse.unsqueeze(-1))
      .cast(x.dtype);
    return { dx: dsum ? dx.add(dsum) : dx, dweight: overRows(g.mul(xhat)).cast(x.dtype), dbias: overRows(g).cast(x.dtype) };
  },
  mayReuse: { dx: "dy" },
});

/** What flows into x through the statistics themselves, when an outer gradient reads them: d mean = 1/n, d inverse = -inverse^3 (x - mean) / n. */
function throughStatistics(
  x: Tensor,
  mean: Tensor,
  inverse: Tensor,
  dmean: Tensor | undefined,
  dinverse: Tensor | undefined,
): Tensor | undefined {
  const n = x.shape.at(-1)!;
  const first = dmean?.div(n).unsqueeze(-1).expand(x.shape);
  const second = dinverse
    ?.mul(inverse.mul(inverse).mul(inverse))
    .unsqueeze(-1)
    .mul(x.cast(inverse.dtype).sub(mean.unsqueeze(-1)))
    .div(-n);
  const both = plus(first, second);
  return both?.cast(x.dtype);
}

function plus(a: Tensor | undefined, b: Tensor | undefined): Tensor | undefined {
  return a && b ? a.add(b) : (a ?? b);
}

/** Sums over every axis but the last. */
export function overRows(x: Tensor): Tensor {
  return x.sum(x.shape.slice(0, -1).map((_, axis) => axis));
}

/** The sum of a branch and the residual stream, and its layer norm: one pass over memory instead of two. */
export const addLayerNorm = defineOp({
  name: "addLayerNorm",
  inputs: { x: one(), residual: one(), weight: maybe(), bias: maybe() },
  attrs: { eps: 1e-5 },
  outputs: { y: out(), sum: out(), mean: aux(), inverse: aux() },
  infer: ({ x, residual, weight, bias }) => {
    check("addLayerNorm", { x, weight, bias });
    expectSame("addLayerNorm", "residual", residual, x);
    return { y: x, sum: x, mean: rowsOf(x), inverse: rowsOf(x) };
  },
  reference: ({ x, residual, weight, bias }, { eps }) => {
    const sum = x.add(residual);
    const stats = statistics(sum, eps);
    return { y: scaled(normalized(sum, stats), weight, bias, x), sum, ...stats };
  },
  saves: ["sum", "weight", "bias", "mean", "inverse"],
  grad: ({ saved: { sum, weight, bias, mean, inverse }, upstream }) => {
    const sums = plus(upstream.sum, throughStatistics(sum, mean, inverse, upstream.mean, upstream.inverse));
    if (!upstream.y) return { x: sums, residual: sums };
    const { dx, dweight, dbias } = layerNormBackward({ x: sum, weight, mean, inverse, dy: upstream.y, dsum: sums });
    return { x: dx, residual: dx, weight: weight && dweight, bias: bias && dbias };
  },
});
