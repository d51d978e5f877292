import { pointwise } from "../fuse.ts";
import type { Kernel } from "../kernel.ts";
import { concat, embed } from "../primitives/assemble.ts";
import { convolution } from "../primitives/convolution.ts";
import { copy } from "../primitives/copy.ts";
import { cummax, cumprod, cumsum } from "../primitives/cumulative.ts";
import { fft } from "../primitives/fft.ts";
import { gather, putAdd, scatterAdd, take } from "../primitives/gather.ts";
import { matmul } from "../primitives/matmul.ts";
import { argmax, argmin, max, min, prod, sum } from "../primitives/reduce.ts";
import { sort, topK } from "../primitives/sort.ts";
import { axesIn, axisIn, sizeOf } from "../shape.ts";
import { convolve } from "./convolution.ts";
import { type Dense, forEachIndex, positionOf, referenceKernel } from "./kernel.ts";
import { evaluateProgram } from "./program.ts";

const clamp = (index: number, extent: number) => Math.min(extent - 1, Math.max(0, index));

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

function multiply({ a, b }: Readonly<Record<string, Dense>>, y: readonly number[]): Float64Array {
  const out = new Float64Array(sizeOf(y));
  const [lead, k] = [y.length - 2, a!.shape.at(-1)!];
  const [m, n] = [y[lead]!, y[lead + 1]!];
  const matrixAt = ({ shape }: Dense, index: readonly number[]) => {
    const own = shape.slice(0, -2).map((extent, axis) => (extent === 1 ? 0 : index[lead - (shape.length - 2) + axis]!));
    return positionOf(shape, [...own, 0, 0]);
  };
  forEachIndex(y.slice(0, -2), (index, matrix) => {
    const [left, right] = [matrixAt(a!, index), matrixAt(b!, index)];
    for (let row = 0; row < m; row++)
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let i = 0; i < k; i++) sum += a!.data[left + row * k + i]! * b!.data[right + i * n + column]!;
        out[(matrix * m + row) * n + column] = sum;
      }
  });
  return out;
}

/** Positions along the last axis in sorted order; stable, NaN last. */
function sortedRow(row: ArrayLike<number>, descending: boolean): number[] {
  const order = (a: number, b: number) => {
    const [x, y] = [row[a]!, row[b]!];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
    return x < y ? (descending ? 1 : -1) : x > y ? (descending ? -1 : 1) : 0;
  };
  return Array.from({ length: row.length }, (_, i) => i).sort((a, b) => order(a, b) || a - b);
}

function sortRows({ x }: Readonly<Record<string, Dense>>, k: number, descending: boolean) {
  const n = x!.shape.at(-1)!;
  const rows = n === 0 ? 0 : x!.data.length / n;
  const values = new Float64Array(rows * k);
  const indices = new Float64Array(rows * k);
  for (let r = 0; r < rows; r++) {
    const row = Float64Array.from({ length: n }, (_, i) => x!.data[r * n + i]!);
    for (const [i, from] of sortedRow(row, descending).slice(0, k).entries()) {
      values[r * k + i] = row[from]!;
      indices[r * k + i] = from;
    }
  }
  return { values, indices };
}

function transform({ re, im }: Readonly<Record<string, Dense>>, inverse: boolean) {
  const n = re!.shape.at(-1)!;
  const out = { re: new Float64Array(re!.data.length), im: new Float64Array(re!.data.length) };
  for (let row = 0; row < re!.data.length; row += n)
    for (let k = 0; k < n; k++)
      for (let j = 0; j < n; j++) {
        const angle = ((inverse ? 2 : -2) * Math.PI * ((j * k) % n)) / n;
        const [a, b, c, s] = [re!.data[row + j]!, im!.data[row + j]!, Math.cos(angle), Math.sin(angle)];
        out.re[row + k]! += a * c - b * s;
        out.im[row + k]! += a * s + b * c;
      }
  return out;
}

/** The index of a `take`d or `putAdd`ed element: the axis replaced by the indices' axes. */
function indexed(whole: readonly number[], at: number, indices: Dense, index: readonly number[]): number[] {
  const inner = indices.shape.length;
  const from = indices.data[positionOf(indices.shape, index.slice(at, at + inner))]!;
  return [...index.slice(0, at), clamp(from, whole[at]!), ...index.slice(at + inner)];
}

const along = (index: readonly number[], at: number, to: number): number[] => index.map((n, axis) => (axis === at ? to : n));

export const referenceKernels = (): Kernel[] => [
  referenceKernel(pointwise, ({ leaves }, { program, shape }) => ({ y: evaluateProgram(program, leaves!, sizeOf(shape)) })),
  referenceKernel(copy, ({ x }) => ({ y: x!.data })),
  referenceKernel(concat, ({ xs }, { axis }, { y }) => {
    const out = new Float64Array(sizeOf(y!.shape));
    const at = axisIn(axis, y!.shape.length, "concat");
    let start = 0;
    for (const x of xs!) {
      forEachIndex(x.shape, (index, position) => {
        out[positionOf(y!.shape, along(index, at, index[at]! + start))] = x.data[position]!;
      });
      start += x.shape[at]!;
    }
    return { y: out };
  }),
  referenceKernel(embed, ({ x }, { shape, offsets, steps, value }) => {
    const out = new Float64Array(sizeOf(shape)).fill(value);
    forEachIndex(x!.shape, (index, position) => {
      out[
        positionOf(
          shape,
          index.map((i, axis) => offsets[axis]! + i * steps[axis]!),
        )
      ] = x!.data[position]!;
    });
    return { y: out };
  }),
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
  referenceKernel(matmul, (inputs, _, { y }) => ({ y: multiply(inputs, y!.shape) })),
  referenceKernel(take, ({ x, indices }, { axis }, { y }) => {
    const at = axisIn(axis, x!.shape.length, "take");
    const out = new Float64Array(sizeOf(y!.shape));
    forEachIndex(y!.shape, (index, position) => {
      out[position] = x!.data[positionOf(x!.shape, indexed(x!.shape, at, indices!, index))]!;
    });
    return { y: out };
  }),
  referenceKernel(putAdd, ({ x, indices }, { axis }, { y }) => {
    const at = axisIn(axis, y!.shape.length, "putAdd");
    const out = new Float64Array(sizeOf(y!.shape));
    forEachIndex(x!.shape, (index, position) => {
      out[positionOf(y!.shape, indexed(y!.shape, at, indices!, index))]! += x!.data[position]!;
    });
    return { y: out };
  }),
  referenceKernel(gather, ({ x, indices }, { axis }) => {
    const at = axisIn(axis, x!.shape.length, "gather");
    const out = new Float64Array(indices!.data.length);
    forEachIndex(indices!.shape, (index, position) => {
      out[position] = x!.data[positionOf(x!.shape, along(index, at, clamp(indices!.data[position]!, x!.shape[at]!)))]!;
    });
    return { y: out };
  }),
  referenceKernel(scatterAdd, ({ x, indices }, { axis, extent }, { y }) => {
    const at = axisIn(axis, x!.shape.length, "scatterAdd");
    const out = new Float64Array(sizeOf(y!.shape));
    forEachIndex(x!.shape, (index, position) => {
      out[positionOf(y!.shape, along(index, at, clamp(indices!.data[position]!, extent)))]! += x!.data[position]!;
    });
    return { y: out };
  }),
  referenceKernel(
    cumsum,
    running(0, (a, b) => a + b),
  ),
  referenceKernel(
    cumprod,
    running(1, (a, b) => a * b),
  ),
  referenceKernel(cummax, running(Number.NEGATIVE_INFINITY, Math.max)),
  referenceKernel(sort, (inputs, { descending }) => sortRows(inputs, inputs.x!.shape.at(-1)!, descending)),
  referenceKernel(topK, (inputs, { k }) => sortRows(inputs, k, true)),
  referenceKernel(fft, (inputs, { inverse }) => transform(inputs, inverse)),
  referenceKernel(convolution, ({ x, weight }, attrs, { y }) => ({ y: convolve(x!, weight!, attrs, y!.shape) })),
];
