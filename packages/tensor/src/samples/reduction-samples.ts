import { cummax, cumprod, cumsum } from "../primitives/cumulative.ts";
import { argmax, argmin, max, min, prod, sum } from "../primitives/reduce.ts";
import { sort, topK } from "../primitives/sort.ts";
import type { Sample, Tolerance } from "../sample.ts";

const loose: Tolerance = { atol: 2e-4, rtol: 1e-5 };

/** Where a reduction's kernel may go wrong: which axes, extents of 1, off every tile, long rows, empty. */
const shapes = [
  { name: "the last axis", shape: [5, 37], axes: [1] },
  { name: "the first axis", shape: [37, 5], axes: [0] },
  { name: "a middle axis", shape: [3, 11, 7], axes: [1] },
  { name: "the outer two of three", shape: [4, 13, 3], axes: [0, 1] },
  { name: "two axes apart, kept", shape: [3, 5, 7], axes: [0, 2], keepDims: true },
  { name: "everything", shape: [7, 19], axes: [0, 1] },
  { name: "an axis of extent 1", shape: [6, 1], axes: [1] },
  { name: "no axis", shape: [3, 2], axes: [] },
  { name: "a transposed matrix", shape: [9, 33], axes: [1], layout: "transposed" },
  { name: "a repeated row", shape: [9, 8], axes: [0], layout: "expanded" },
  { name: "no rows", shape: [0, 4], axes: [1] },
] as const;

const reductions: readonly Sample[] = [sum, prod, max, min].flatMap((op): Sample[] =>
  shapes.map(({ name, shape, axes, ...rest }): Sample => {
    // Products of many numbers stay readable near 1.
    const fill = op === prod ? ({ kind: "uniform", low: 0.7, high: 1.3 } as const) : ({ kind: "normal" } as const);
    const layout = "layout" in rest ? rest.layout : "contiguous";
    return {
      op,
      name,
      inputs: { x: { shape, fill, layout } },
      attrs: { axes, keepDims: "keepDims" in rest },
      tolerance: { atol: 2e-5, rtol: 2e-5 },
    };
  }),
);

const integers = { kind: "integers", low: -9, high: 10 } as const;

/** Sums, products, extrema and their places, running results, sorting. */
export const reductionSamples: readonly Sample[] = [
  ...reductions,
  { op: sum, name: "a long row", inputs: { x: { shape: [2, 20_011] } }, attrs: { axes: [1] }, tolerance: loose },
  { op: sum, name: "a tall column", inputs: { x: { shape: [5_003, 3] } }, attrs: { axes: [0] }, tolerance: loose },
  { op: sum, name: "over an empty axis is 0", inputs: { x: { shape: [3, 0] } }, attrs: { axes: [1] } },
  { op: prod, name: "over an empty axis is 1", inputs: { x: { shape: [0, 3] } }, attrs: { axes: [0] } },
  {
    op: prod,
    name: "zeros do not divide",
    inputs: { x: { shape: [3, 4], fill: { kind: "values", values: [0, 2, 3, 4, 0, 5, 0, 1, 2, 3, 4, 5] } } },
    attrs: { axes: [1] },
  },
  {
    op: sum,
    name: "i32 wraps",
    inputs: { x: { shape: [2, 5], dtype: "i32", fill: { kind: "values", values: [2_000_000_000, 2_000_000_000, -5, 7, 1] } } },
    attrs: { axes: [1] },
  },
  { op: sum, name: "u32", inputs: { x: { shape: [13, 3], dtype: "u32" } }, attrs: { axes: [0] } },
  {
    op: sum,
    name: "f16 is summed in f32",
    inputs: { x: { shape: [3, 300], dtype: "f16", fill: { kind: "uniform", low: 0, high: 1 } } },
    attrs: { axes: [1] },
    tolerance: { atol: 0, rtol: 1e-3 },
  },
  { op: sum, name: "bf16", inputs: { x: { shape: [67, 5], dtype: "bf16" } }, attrs: { axes: [0] } },
  { op: max, name: "equals share the gradient", inputs: { x: { shape: [4, 9], fill: integers } }, attrs: { axes: [1] } },
  { op: min, name: "i32 over rows", inputs: { x: { shape: [11, 3], dtype: "i32" } }, attrs: { axes: [0] } },
  {
    op: max,
    name: "NaN wins",
    inputs: { x: { shape: [2, 3], fill: { kind: "values", values: [1, Number.NaN, 2, 4, 5, 6] } } },
    attrs: { axes: [1] },
    gradients: [],
  },
  {
    op: max,
    name: "negative infinities",
    inputs: { x: { shape: [2, 3], fill: { kind: "values", values: [Number.NEGATIVE_INFINITY] } } },
    attrs: { axes: [1] },
    gradients: [],
  },
  ...[argmax, argmin].flatMap((op): Sample[] => [
    { op, name: "the last axis", inputs: { x: { shape: [5, 37] } }, attrs: { axis: -1 } },
    { op, name: "the first axis, kept", inputs: { x: { shape: [37, 5] } }, attrs: { axis: 0, keepDims: true } },
    {
      op,
      name: "the first of equals",
      inputs: { x: { shape: [6, 12], dtype: "i32", fill: { kind: "integers", low: 0, high: 3 } } },
      attrs: { axis: 1 },
    },
    { op, name: "a strided middle axis", inputs: { x: { shape: [3, 5, 4], layout: "sliced" } }, attrs: { axis: 1 } },
    { op, name: "extent 1", inputs: { x: { shape: [4, 1] } }, attrs: { axis: 1 } },
  ]),
  ...[cumsum, cumprod].flatMap((op): Sample[] => {
    const fill = op === cumprod ? ({ kind: "uniform", low: 0.6, high: 1.4 } as const) : ({ kind: "normal" } as const);
    return [
      { op, name: "the last axis", inputs: { x: { shape: [3, 19], fill } }, attrs: { axis: -1 } },
      { op, name: "the first axis, exclusive", inputs: { x: { shape: [19, 3], fill } }, attrs: { axis: 0, exclusive: true } },
      { op, name: "from the end", inputs: { x: { shape: [2, 7, 5], fill } }, attrs: { axis: 1, reverse: true } },
      {
        op,
        name: "from the end, exclusive, strided",
        inputs: { x: { shape: [5, 8], fill, layout: "transposed" } },
        attrs: { axis: 1, reverse: true, exclusive: true },
      },
      { op, name: "extent 1", inputs: { x: { shape: [4, 1], fill } }, attrs: { axis: 1 } },
      { op, name: "empty", inputs: { x: { shape: [0, 4], fill } }, attrs: { axis: 0 } },
      { op, name: "i32", inputs: { x: { shape: [3, 6], dtype: "i32", fill: { kind: "integers", low: -3, high: 4 } } }, attrs: { axis: 1 } },
    ];
  }),
  { op: cumsum, name: "a long row", inputs: { x: { shape: [3, 5_003] } }, attrs: { axis: 1 }, tolerance: { atol: 5e-4, rtol: 1e-5 } },
  {
    op: cumprod,
    name: "zeros do not divide",
    inputs: { x: { shape: [2, 5], fill: { kind: "values", values: [2, 0, 3, 0, 4, 1.5, 2, 0.5, 0, 3] } } },
    attrs: { axis: 1 },
  },
  { op: cummax, name: "the last axis", inputs: { x: { shape: [3, 19] } }, attrs: { axis: -1 } },
  { op: cummax, name: "the first axis, equals", inputs: { x: { shape: [11, 3], fill: integers } }, attrs: { axis: 0 } },
  { op: cummax, name: "empty", inputs: { x: { shape: [0, 3] } }, attrs: { axis: 0 } },
  { op: sort, name: "ascending", inputs: { x: { shape: [3, 37] } } },
  { op: sort, name: "descending, strided", inputs: { x: { shape: [5, 16], layout: "transposed" } }, attrs: { descending: true } },
  { op: sort, name: "equals keep their order", inputs: { x: { shape: [2, 33], fill: integers } } },
  {
    op: sort,
    name: "equals keep their order when descending",
    inputs: { x: { shape: [2, 33], dtype: "i32", fill: integers } },
    attrs: { descending: true },
  },
  {
    op: sort,
    name: "NaN last",
    inputs: { x: { shape: [1, 5], fill: { kind: "values", values: [3, Number.NaN, 1, Number.NaN, 2] } } },
    gradients: [],
  },
  { op: sort, name: "no columns", inputs: { x: { shape: [3, 0] } } },
  { op: topK, name: "5 of 41", inputs: { x: { shape: [4, 41] } }, attrs: { k: 5 } },
  { op: topK, name: "all of them, with equals", inputs: { x: { shape: [2, 9], fill: integers } }, attrs: { k: 9 } },
  { op: topK, name: "none", inputs: { x: { shape: [2, 9] } }, attrs: { k: 0 } },
  { op: topK, name: "1 of u32", inputs: { x: { shape: [3, 17], dtype: "u32" } }, attrs: { k: 1 } },
];
