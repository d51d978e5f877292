import { embedding } from "@x/ops";
import { axisIn, dtypes, gather, putAdd, scatterAdd, sizeOf, take } from "@x/tensor";
import type { LaunchArgs, Place } from "../device/launch.ts";
import { wasmKernel } from "./kernel.ts";
import { type Planner, type Wide, wideOf } from "./planner.ts";
import { ceilDiv, product } from "./work.ts";

/** An axis of a shape and what lies around it. */
const around = (shape: readonly number[], at: number) => ({
  outer: product(shape.slice(0, at)),
  axis: shape[at]!,
  inner: product(shape.slice(at + 1)),
});

/** Whole slices by index. */
function takeSlices(
  p: Planner,
  x: Place,
  shape: readonly number[],
  at: number,
  size: number,
  indices: Place,
  count: number,
  out: Place,
): void {
  const { outer, axis, inner } = around(shape, at);
  const args = { out, src: x, indices, size, axis, count, inner, srcOuter: axis * inner, indexOuter: 0, indexCount: 1, indexInner: 0 };
  p.run("gather", args, outer * count, (inner * size) / 16 + 4);
}

export const takeKernel = wasmKernel(take, {
  plan(p, { specs: { x, indices }, attrs: { axis } }) {
    const at = axisIn(axis, x.shape.length, "take");
    takeSlices(p, p.raw("x").place, x.shape, at, dtypes[x.dtype].bytes, p.input("indices"), sizeOf(indices.shape), p.target("y"));
  },
});

export const embeddingKernel = wasmKernel(embedding, {
  plan(p, { specs: { table, indices } }) {
    takeSlices(
      p,
      p.raw("table").place,
      table.shape,
      0,
      dtypes[table.dtype].bytes,
      p.input("indices"),
      sizeOf(indices.shape),
      p.target("y"),
    );
  },
});

export const gatherKernel = wasmKernel(gather, {
  plan(p, { specs: { x, indices }, attrs: { axis } }) {
    const at = axisIn(axis, x.shape.length, "gather");
    const { outer, axis: extent, inner } = around(x.shape, at);
    const count = indices.shape[at]!;
    const strides = { srcOuter: extent * inner, indexOuter: count * inner, indexCount: inner, indexInner: 1 };
    const args = {
      out: p.target("y"),
      src: p.raw("x").place,
      indices: p.input("indices"),
      size: dtypes[x.dtype].bytes,
      axis: extent,
      count,
      inner,
    };
    p.run("gather", { ...args, ...strides }, outer * count, 2 * inner);
  },
});

/** Columns of the inner extent that one unit of a scatter takes; it owns them, so that its sums have one order. */
const columns = 32;

/** Adds elements into zeros: floats, or words that wrap. */
function scatter(p: Planner, args: LaunchArgs<"scatter_add_i32">, type: Wide, units: number, cost: number): void {
  if (type === "f32") p.run("scatter_add", { ...args, zero: 1 }, units, cost);
  else p.run("scatter_add_i32", args, units, cost);
}

export const putAddKernel = wasmKernel(putAdd, {
  plan(p, { specs: { indices }, outputs: { y }, attrs: { axis } }) {
    const at = axisIn(axis, y.shape.length, "putAdd");
    const { outer, axis: extent, inner } = around(y.shape, at);
    const count = sizeOf(indices.shape);
    const places = { out: p.output("y"), src: p.input("x"), indices: p.input("indices") };
    const args = { ...places, axis: extent, count, inner, columns, indexOuter: 0, indexCount: 1, indexInner: 0 };
    scatter(p, args, wideOf(y.dtype), outer * ceilDiv(inner, columns), ((count + extent) * Math.min(columns, inner)) / 2);
  },
});

export const scatterAddKernel = wasmKernel(scatterAdd, {
  plan(p, { specs: { x }, outputs: { y }, attrs: { axis } }) {
    const at = axisIn(axis, x.shape.length, "scatterAdd");
    const { outer, axis: extent, inner } = around(y.shape, at);
    const count = x.shape[at]!;
    const places = { out: p.output("y"), src: p.input("x"), indices: p.input("indices") };
    const args = { ...places, axis: extent, count, inner, columns, indexOuter: count * inner, indexCount: inner, indexInner: 1 };
    scatter(p, args, wideOf(y.dtype), outer * ceilDiv(inner, columns), 2 * (count + extent) * Math.min(columns, inner));
  },
});
