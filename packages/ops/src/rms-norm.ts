import { aux, defineOp, maybe, one, out, type Spec, statisticsOf, type Tensor } from "@x/tensor";
import { checkScale, expectFloat, expectSame, expectStatistics, lastOf, rowsOf } from "./expect.ts";
import { overRows } from "./layer-norm.ts";

const inverseOf = (x: Tensor, eps: number): Tensor => x.cast(statisticsOf(x.dtype)).square().mean(-1).add(eps).rsqrt();

/** Scaled and cast to x's dtype before the weight multiplies: Llama's order, visible in half precision. */
function scaled(x: Tensor, inverse: Tensor, weight: Tensor | undefined): Tensor {
  const y = x.cast(inverse.dtype).mul(inverse.unsqueeze(-1)).cast(x.dtype);
  return weight ? y.mul(weight) : y;
}

function check(who: string, x: Spec, weight: Spec | undefined): void {
  expectFloat(who, "x", x);
  lastOf(who, "x", x);
  checkScale(who, "weight", weight, x);
}

/** x / sqrt(mean(x^2) + eps) * weight over the last axis. [..., dim] -> [..., dim]. Zhang and Sennrich 2019, arXiv 1910.07467. */
export const rmsNorm = defineOp({
  name: "rmsNorm",
  inputs: { x: one(), weight: maybe() },
  attrs: { eps: 1e-6 },
  outputs: { y: out(), inverse: aux() },
  infer: ({ x, weight }) => {
    check("rmsNorm", x, weight);
    return { y: x, inverse: rowsOf(x) };
  },
  reference: ({ x, weight }, { eps }) => {
    const inverse = inverseOf(x, eps);
    return { y: scaled(x, inverse, weight), inverse };
  },
  saves: ["x", "weight", "inverse"],
  grad: ({ saved: { x, weight, inverse }, upstream }) => {
    const through = throughInverse(x, inverse, upstream.inverse);
    if (!upstream.y) return { x: through };
    const { dx, dweight } = rmsNormBackward({ x, weight, inverse, dy: upstream.y, dsum: through });
    return { x: dx, weight: weight && dweight };
  },
});

/** The gradient of RMS norm from its statistics, dsum added to dx: what reaches x by other ways, as through a residual stream. dweight is [dim], summed over all rows in an order fixed by the shape. */
export const rmsNormBackward = defineOp({
  name: "rmsNormBackward",
  inputs: { x: one(), weight: maybe(), inverse: one(), dy: one(), dsum: maybe() },
  outputs: { dx: out(), dweight: out() },
  infer: ({ x, weight, inverse, dy, dsum }) => {
    check("rmsNormBackward", x, weight);
    expectStatistics("rmsNormBackward", "inverse", inverse, x);
    expectSame("rmsNormBackward", "dy", dy, x);
    if (dsum) expectSame("rmsNormBackward", "dsum", dsum, x);
    return { dx: x, dweight: { shape: x.shape.slice(-1), dtype: x.dtype } };
  },
  reference: ({ x, weight, inverse, dy, dsum }) => {
    const xhat = x.cast(inverse.dtype).mul(inverse.unsqueeze(-1));
    const g = dy.cast(xhat.dtype);
    const ghat = weight ? g.mul(weight.cast(xhat.dtype)) : g;
    const dx = ghat
      .sub(xhat.mul(ghat.mul(xhat).mean(-1, { keepDims: true })))
      .mul(inverse.unsqueeze(-1))
      .cast(x.dtype);
    return { dx: dsum ? dx.add(dsum) : dx, dweight: overRows(g.mul(xhat)).cast(x.dtype) };
  },
  mayReuse: { dx: "dy" },
});

/** What flows into x through the statistic, when an outer gradient reads it: d inverse = -inverse^3 x / n. */
function throughInverse(x: Tensor, inverse: Tensor, dinverse: Tensor | undefined): Tensor | undefined {
  return dinverse?.mul(inverse.mul(inverse).mul(inverse)).unsqueeze(-1).mul(x.cast(inverse.dtype)).div(-x.shape.at(-1)!).cast(x.dtype);
}

/** The sum of a branch and the residual stream, and its RMS norm: one pass over memory instead of two. */
export const addRmsNorm = defineOp({
  name: "addRmsNorm",
  inputs: { x: one(), residual: one(), weight: maybe() },
  attrs: { eps: 1e-6 },
  outputs: { y: out(), sum: out(), inverse: aux() },
  infer: ({ x, residual, weight }) => {
    check("addRmsNorm", x, weight);
    expectSame("addRmsNorm", "residual", residual, x);
    return { y: x, sum: x, inverse: rowsOf(x) };
  },
  reference: ({ x, residual, weight }, { eps }) => {
    const sum = x.add(residual);
    const inverse = inverseOf(sum, eps);
    return { y: scaled(sum, inverse, weight), sum, inverse };
  },
  saves: ["sum", "weight", "inverse"],
  grad: ({ saved: { sum, weight, inverse }, upstream }) => {
    const through = throughInverse(sum, inverse, upstream.inverse);
    const side = upstream.sum && through ? upstream.sum.add(through) : (upstream.sum ?? through);
    if (!upstream.y) return { x: side, residual: side };
    const { dx, dweight } = rmsNormBackward({ x: sum, weight, inverse, dy: upstream.y, dsum: side });
    return { x: dx, residual: dx, weight: weight && dweight };
  },
});
