import type { Sample } from "@x/tensor";
import { activations } from "../activations.ts";
import { linear } from "../linear.ts";
import { normal, sliced, transposed } from "./inputs.ts";

type Shape = readonly number[];
interface Size {
  readonly rows: Shape;
  readonly inputs: number;
  readonly outputs: number;
}
const sizes: readonly Size[] = [
  { rows: [1], inputs: 1, outputs: 1 },
  { rows: [], inputs: 5, outputs: 3 },
  { rows: [7], inputs: 13, outputs: 5 },
  { rows: [1], inputs: 64, outputs: 65 },
  { rows: [2, 3], inputs: 17, outputs: 19 },
  { rows: [33], inputs: 70, outputs: 41 },
  { rows: [3, 1], inputs: 130, outputs: 2 },
  { rows: [64], inputs: 64, outputs: 64 },
  { rows: [0], inputs: 4, outputs: 3 },
  { rows: [2], inputs: 4, outputs: 0 },
  { rows: [2], inputs: 300, outputs: 7 },
];
const name = ({ rows, inputs, outputs }: Size) => `of ${[...rows, inputs].join("x")} to ${outputs}`;
const matrices = ({ rows, inputs, outputs }: Size) => ({
  x: normal([...rows, inputs]),
  weight: normal([outputs, inputs], 1 / Math.sqrt(inputs)),
});
const tolerance = { atol: 5e-5, rtol: 2e-5 };

export const linearSamples: readonly Sample[] = [
  ...sizes.flatMap((size): Sample[] => [
    { name: name(size), op: linear, inputs: matrices(size), tolerance },
    { name: `${name(size)} with a bias`, op: linear, inputs: { ...matrices(size), bias: normal([size.outputs]) }, tolerance },
    {
      name: `${name(size)} with all epilogues`,
      op: linear,
      inputs: { ...matrices(size), bias: normal([size.outputs]), residual: normal([...size.rows, size.outputs]) },
      attrs: { activation: "gelu" },
      tolerance,
    },
  ]),
  ...Object.keys(activations).map(
    (activation): Sample => ({
      name: `with ${activation}, no bias, a residual`,
      op: linear,
      inputs: { ...matrices({ rows: [2, 5], inputs: 9, outputs: 11 }), residual: normal([2, 5, 11]) },
      attrs: { activation },
      tolerance,
    }),
  ),
  { name: "of a transposed x", op: linear, inputs: { x: transposed(normal([9, 12])), weight: normal([5, 12], 0.3) }, tolerance },
  {
    name: "of a transposed weight: Conv1D's [in, out]",
    op: linear,
    inputs: { x: normal([9, 12]), weight: transposed(normal([5, 12], 0.3)), bias: normal([5]) },
    tolerance,
  },
  {
    name: "of sliced views",
    op: linear,
    inputs: {
      x: sliced(normal([9, 12])),
      weight: sliced(normal([5, 12], 0.3)),
      bias: sliced(normal([5])),
      residual: sliced(normal([9, 5])),
    },
    tolerance,
  },
  {
    name: "linear of merged heads",
    inputs: { x: normal([2, 3, 5, 4]), weight: normal([7, 12], 0.3) },
    build: ({ x, weight }) => linear({ x: x!.permute([0, 2, 1, 3]).reshape([2, 5, 12]), weight: weight! }),
    tolerance,
  },
];
