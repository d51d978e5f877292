import type { Sample } from "@x/tensor";
import { linearBackwardWeights } from "../linear-backward.ts";
import { normal, transposed } from "./inputs.ts";

const tolerance = { atol: 1e-4, rtol: 2e-5 };
const shapes = [
  { lead: [1], inputs: 1, outputs: 1 },
  { lead: [], inputs: 5, outputs: 3 },
  { lead: [7], inputs: 13, outputs: 5 },
  { lead: [2, 33], inputs: 20, outputs: 12 },
  { lead: [130], inputs: 3, outputs: 2 },
  { lead: [65], inputs: 64, outputs: 67 },
  { lead: [700], inputs: 8, outputs: 4 },
  { lead: [0], inputs: 4, outputs: 3 },
  { lead: [3], inputs: 0, outputs: 4 },
];

export const linearBackwardSamples: readonly Sample[] = [
  ...shapes.map(
    ({ lead, inputs, outputs }): Sample => ({
      name: `of ${[...lead, inputs].join("x")} and ${outputs} outputs`,
      op: linearBackwardWeights,
      inputs: { x: normal([...lead, inputs]), dy: normal([...lead, outputs]) },
      tolerance,
    }),
  ),
  {
    name: "of transposed views",
    op: linearBackwardWeights,
    inputs: { x: transposed(normal([9, 12])), dy: transposed(normal([9, 8])) },
    tolerance,
  },
  {
    name: "in f16",
    op: linearBackwardWeights,
    inputs: { x: { shape: [9, 8], dtype: "f16" }, dy: { shape: [9, 6], dtype: "f16" } },
    tolerance: { atol: 2e-2, rtol: 2e-3 },
  },
];
