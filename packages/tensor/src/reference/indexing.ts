import type { Kernel } from "../kernel.ts";
import { concat, embed } from "../primitives/assemble.ts";
import { gather, putAdd, scatterAdd, take } from "../primitives/gather.ts";
import { axisIn, sizeOf } from "../shape.ts";
import { type Dense, forEachIndex, positionOf, referenceKernel } from "./kernel.ts";

const clamp = (index: number, extent: number) => Math.min(extent - 1, Math.max(0, index));
const along = (index: readonly number[], at: number, to: number): number[] => index.map((n, axis) => (axis === at ? to : n));

/** The index of a `take`d or `putAdd`ed element: the axis replaced by the indices' axes. */
function indexed(whole: readonly number[], at: number, indices: Dense, index: readonly number[]): number[] {
  const inner = indices.shape.length;
  const from = indices.data[positionOf(indices.shape, index.slice(at, at + inner))]!;
  return [...index.slice(0, at), clamp(from, whole[at]!), ...index.slice(at + inner)];
}

export const assemblyKernels = (): Kernel[] => [
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
];

export const indexingKernels = (): Kernel[] => [
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
];
