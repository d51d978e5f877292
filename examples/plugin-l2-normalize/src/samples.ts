import type { Sample } from "@x/tensor";
import { l2Normalize } from "./l2-normalize.ts";

const shapes = [
  [1, 1],
  [3, 7],
  [2, 3, 64],
  [5, 257],
  [1, 2000],
  [0, 4],
  [3, 0],
] as const;

/** What every kernel of this plugin must get right. */
export const samples: readonly Sample[] = [
  ...shapes.map((shape): Sample => ({ op: l2Normalize, name: `of ${shape.join("x")}`, inputs: { x: { shape } } })),
  { op: l2Normalize, name: "of a transposed view", inputs: { x: { shape: [6, 9], layout: "transposed" } } },
  { op: l2Normalize, name: "in half precision", inputs: { x: { shape: [4, 33], dtype: "f16" } } },
  {
    op: l2Normalize,
    name: "of rows shorter than eps",
    inputs: { x: { shape: [4, 5], fill: { kind: "values", values: [0, 0, 0, 0, 0, 0.1, -0.2, 0.1, 0, 0.2, 3, -4, 1, 2, 0] } } },
    attrs: { eps: 0.5 },
  },
];
