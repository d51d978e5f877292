import type { Kernel } from "../kernel.ts";
import { cummax, cumprod, cumsum } from "../primitives/cumulative.ts";
import { argmax, argmin, max, min, prod, sum } from "../primitives/reduce.ts";
import { axesIn, axisIn, sizeOf } from "../shape.ts";
import { type Dense, forEachIndex, positionOf, referenceKernel } from "./kernel.ts";

function reduceWith(initial: number, step: (sum: number, value: number) => number) {
  return (
    { x }: Readonly<Record<string, Dense>>,
    { axes }: { axes: readonly number[] },
    { y }: Readonly<Record<string, { shape: readonly number[] }>>,
  ) => {
    const at = axesIn(axes, x!.shape.length, "reduce");
    const out = new Float64Array(sizeOf(y!.shape)).fill(initial);
    const kept = x!.shape.map((extent, axis) => (at.includes(axis) ? 1 : extent));
    forEachIndex(x!.shape, (index, position) => {
      const to = positionOf(
        kept,
        index.map((i, axis) => (at.includes(axis) ? 0 : i)),
      );
      out[to] = step(out[to]!, x!.data[position]!);
    });
    return { y: out };
  };
}

function extremumAt(better: (candidate: number, best: number) => boolean) {
  return (
    { x }: Readonly<Record<string, Dense>>,
    { axis }: { axis: number },
    { y }: Readonly<Record<string, { shape: readonly number[] }>>,
  ) => {
    const at = axisIn(axis, x!.shape.length, "argmax");
    const out = new Float64Array(sizeOf(y!.shape));
    const kept = x!.shape.map((extent, i) => (i === at ? 1 : extent));
    forEachIndex(kept, (index, position) => {
      let best = 0;
      const value = (i: number) =>
        x!.data[
          positionOf(
            x!.shape,
            index.map((n, a) => (a === at ? i : n)),
          )
        ]!;
      for (let i = 1; i < x!.shape[at]!; i++)
        if (better(value(i), value(best)) || (Number.isNaN(value(i)) && !Number.isNaN(value(best)))) best = i;
      out[position] = best;
    });
    return { y: out };
  };
}

/** Walks an axis with a running value, from either end; `exclusive` writes before it takes the element in. */
function running(initial: number, step: (sum: number, value: number) => number) {
  return ({ x }: Readonly<Record<string, Dense>>, attrs: { axis: number; reverse?: boolean; exclusive?: boolean }) => {
    const at = axisIn(attrs.axis, x!.shape.length, "cumulative");
    const out = new Float64Array(x!.data.length);
    const extent = x!.shape[at]!;
    forEachIndex(
      x!.shape.map((n, i) => (i === at ? Math.min(n, 1) : n)),
      (index) => {
        let sum = initial;
        for (let i = 0; i < extent; i++) {
          const position = positionOf(
            x!.shape,
            index.map((n, a) => (a === at ? (attrs.reverse ? extent - 1 - i : i) : n)),
          );
          const next = step(sum, x!.data[position]!);
          out[position] = attrs.exclusive ? sum : next;
          sum = next;
        }
      },
    );
    return { y: out };
  };
}

export const reductionKernels = (): Kernel[] => [
  referenceKernel(
    sum,
    reduceWith(0, (a, b) => a + b),
  ),
  referenceKernel(
    prod,
    reduceWith(1, (a, b) => a * b),
  ),
  referenceKernel(max, reduceWith(Number.NEGATIVE_INFINITY, Math.max)),
  referenceKernel(min, reduceWith(Number.POSITIVE_INFINITY, Math.min)),
  referenceKernel(
    argmax,
    extremumAt((a, b) => a > b),
  ),
  referenceKernel(
    argmin,
    extremumAt((a, b) => a < b),
  ),
  referenceKernel(
    cumsum,
    running(0, (a, b) => a + b),
  ),
  referenceKernel(
    cumprod,
    running(1, (a, b) => a * b),
  ),
  referenceKernel(cummax, running(Number.NEGATIVE_INFINITY, Math.max)),
];
