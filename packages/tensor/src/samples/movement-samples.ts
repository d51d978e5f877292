import { concat, embed } from "../primitives/assemble.ts";
import { copy } from "../primitives/copy.ts";
import { expand, flip, permute, reshape, slice } from "../primitives/movement.ts";
import type { Sample } from "../sample.ts";

/** Views, copies, concatenation and padding. */
export const movementSamples: readonly Sample[] = [
  { op: reshape, name: "[6, 4] as [3, 8]", inputs: { x: { shape: [6, 4] } }, attrs: { shape: [3, 8] } },
  {
    op: reshape,
    name: "a transposed matrix must be copied",
    inputs: { x: { shape: [5, 7], layout: "transposed" } },
    attrs: { shape: [35] },
  },
  { op: reshape, name: "a scalar as [1, 1, 1]", inputs: { x: { shape: [] } }, attrs: { shape: [1, 1, 1] } },
  { op: reshape, name: "empty", inputs: { x: { shape: [0, 3] } }, attrs: { shape: [3, 0, 2] } },
  { op: permute, name: "four axes turned", inputs: { x: { shape: [2, 3, 5, 7] } }, attrs: { order: [2, 0, 3, 1] } },
  { op: permute, name: "negative axes of u8", inputs: { x: { shape: [3, 4], dtype: "u8" } }, attrs: { order: [-1, 0] } },
  { op: expand, name: "a new axis and a repeated one", inputs: { x: { shape: [3, 1, 5] } }, attrs: { shape: [2, 3, 4, 5] } },
  { op: expand, name: "a scalar to a matrix", inputs: { x: { shape: [] } }, attrs: { shape: [3, 2] } },
  { op: slice, name: "every third of the middle", inputs: { x: { shape: [3, 17] } }, attrs: { axis: 1, start: 2, end: 15, step: 3 } },
  { op: slice, name: "nothing", inputs: { x: { shape: [4, 3] } }, attrs: { axis: 0, start: 2, end: 2 } },
  { op: flip, name: "the first of two axes", inputs: { x: { shape: [5, 3] } }, attrs: { axis: 0 } },
  { op: flip, name: "the last axis of bf16", inputs: { x: { shape: [2, 7], dtype: "bf16" } }, attrs: { axis: -1 } },
  ...(["f32", "f16", "bf16", "i32", "u32", "u8", "bool"] as const).map(
    (dtype): Sample => ({ op: copy, name: `${dtype}, transposed`, inputs: { x: { shape: [13, 7], dtype, layout: "transposed" } } }),
  ),
  { op: copy, name: "every second element", inputs: { x: { shape: [37], layout: "sliced" } } },
  { op: copy, name: "a repeated row", inputs: { x: { shape: [6, 5], layout: "expanded" } } },
  { op: copy, name: "a scalar", inputs: { x: { shape: [] } } },
  { op: copy, name: "empty", inputs: { x: { shape: [0, 4] } } },
  { op: copy, name: "larger than a tile, turned", inputs: { x: { shape: [3, 130, 67], layout: "transposed" } } },
  {
    op: concat,
    name: "three along the last axis",
    inputs: { xs: [{ shape: [3, 4] }, { shape: [3, 1] }, { shape: [3, 7] }] },
    attrs: { axis: -1 },
  },
  { op: concat, name: "an empty part", inputs: { xs: [{ shape: [2, 3] }, { shape: [0, 3] }, { shape: [5, 3] }] }, attrs: { axis: 0 } },
  { op: concat, name: "one alone", inputs: { xs: [{ shape: [2, 3] }] }, attrs: { axis: 1 } },
  {
    op: concat,
    name: "bytes, a strided one first",
    inputs: {
      xs: [
        { shape: [4, 3], dtype: "u8", layout: "sliced" },
        { shape: [4, 2], dtype: "u8" },
      ],
    },
    attrs: { axis: 1 },
  },
  {
    op: concat,
    name: "f16 along the middle",
    inputs: {
      xs: [
        { shape: [2, 3, 5], dtype: "f16" },
        { shape: [2, 2, 5], dtype: "f16", layout: "transposed" },
      ],
    },
    attrs: { axis: 1 },
  },
  {
    op: embed,
    name: "padding with a value",
    inputs: { x: { shape: [3, 5] } },
    attrs: { shape: [6, 9], offsets: [1, 3], steps: [1, 1], value: -2.5 },
  },
  { op: embed, name: "spread apart", inputs: { x: { shape: [4, 3] } }, attrs: { shape: [11, 8], offsets: [0, 2], steps: [3, 2] } },
  {
    op: embed,
    name: "nothing into something",
    inputs: { x: { shape: [0, 2] } },
    attrs: { shape: [3, 2], offsets: [0, 0], steps: [1, 1], value: 7 },
  },
  {
    op: embed,
    name: "i32, strided",
    inputs: { x: { shape: [3, 4], dtype: "i32", layout: "transposed" } },
    attrs: { shape: [5, 4], offsets: [2, 0], steps: [1, 1], value: -1 },
  },
];
