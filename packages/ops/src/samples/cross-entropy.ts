import type { Sample } from "@x/tensor";
import { crossEntropy, crossEntropyBackward } from "../cross-entropy.ts";
import { floats, integers, ints, normal, sliced, transposed } from "./inputs.ts";

type Shape = readonly number[];
const shapes: readonly Shape[] = [[1, 1], [1, 2], [5, 7], [2, 3, 17], [66, 65], [3, 4097], [0, 6], [2, 0, 3], [9]];
const targetsOf = (shape: Shape) => integers(shape.slice(0, -1), 0, shape.at(-1)!);
const rowsOf = (shape: Shape) => shape.slice(0, -1);
const tolerance = { atol: 2e-5, rtol: 2e-5 };

const forward: readonly Sample[] = [
  ...shapes.map(
    (shape): Sample => ({
      name: `of ${shape.join("x")}`,
      op: crossEntropy,
      inputs: { logits: normal(shape, 3), targets: targetsOf(shape) },
      tolerance,
    }),
  ),
  {
    name: "with ignored targets",
    op: crossEntropy,
    inputs: { logits: normal([7, 11]), targets: ints([7], 3, -100, 10, -100, 0, -100, 5) },
  },
  { name: "with all targets ignored", op: crossEntropy, inputs: { logits: normal([3, 5]), targets: ints([3], -100) } },
  {
    name: "with another index ignored",
    op: crossEntropy,
    inputs: { logits: normal([6, 4]), targets: ints([6], 0, 1, 2, 3) },
    attrs: { ignoreIndex: 2 },
  },
  {
    name: "with index 0 ignored",
    op: crossEntropy,
    inputs: { logits: normal([6, 4]), targets: ints([6], 0, 1, 2, 3) },
    attrs: { ignoreIndex: 0 },
  },
  {
    name: "of large logits",
    op: crossEntropy,
    inputs: { logits: floats([2, 3], 1e4, 9990, -1e4, 500, 501, 502), targets: ints([2], 1, 0) },
    tolerance: { atol: 1e-3, rtol: 1e-4 },
  },
  { name: "of a transposed view", op: crossEntropy, inputs: { logits: transposed(normal([7, 33])), targets: integers([7], 0, 33) } },
  { name: "of sliced views", op: crossEntropy, inputs: { logits: sliced(normal([5, 20])), targets: sliced(integers([5], 0, 20)) } },
];

/** The log-sum-exp of `shape.at(-1)` normal logits lies near its logarithm and a half. */
const backwardInputs = (shape: Shape) => ({
  logits: normal(shape),
  targets: targetsOf(shape),
  logSumExp: normal(rowsOf(shape), 0.2, Math.log(shape.at(-1)!) + 0.5),
});

export const crossEntropySamples: readonly Sample[] = [
  ...forward,
  ...shapes.map(
    (shape): Sample => ({
      name: `of ${shape.join("x")}`,
      op: crossEntropyBackward,
      inputs: { ...backwardInputs(shape), dLoss: normal(rowsOf(shape)) },
      tolerance,
    }),
  ),
  {
    name: "with both gradients",
    op: crossEntropyBackward,
    inputs: { ...backwardInputs([5, 7]), dLoss: normal([5]), dLogSumExp: normal([5]) },
  },
  {
    name: "with the gradient of the log-sum-exp alone",
    op: crossEntropyBackward,
    inputs: { ...backwardInputs([5, 7]), dLogSumExp: normal([5]) },
  },
  {
    name: "with ignored targets",
    op: crossEntropyBackward,
    inputs: { ...backwardInputs([4, 7]), targets: ints([4], 6, -100, -100, 0), dLoss: normal([4]), dLogSumExp: normal([4]) },
  },
  {
    name: "with one gradient for all rows",
    op: crossEntropyBackward,
    inputs: { ...backwardInputs([4, 7]), dLoss: { ...floats([4], 0.25), layout: "expanded" } },
  },
];
