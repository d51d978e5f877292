import type { Sample } from "@x/tensor";
import { addRmsNorm, rmsNorm, rmsNormBackward } from "../rms-norm.ts";
import { expanded, floats, normal, rowShapes, sliced, transposed, uniform } from "./inputs.ts";

const weightOf = (shape: readonly number[]) => normal([shape.at(-1)!], 0.5, 1);
const tolerance = { atol: 5e-5, rtol: 5e-5 };

export const rmsNormSamples: readonly Sample[] = [
  ...rowShapes.map(
    (shape): Sample => ({
      name: `of ${shape.join("x")}`,
      op: rmsNorm,
      // Away from 0: a row of one small number has a large slope.
      inputs: { x: shape.at(-1) === 1 ? uniform(shape, 0.5, 2) : normal(shape), weight: weightOf(shape) },
      tolerance,
    }),
  ),
  { name: "without a weight", op: rmsNorm, inputs: { x: normal([5, 7]) } },
  { name: "of one row without other axes", op: rmsNorm, inputs: { x: normal([9]), weight: normal([9]) } },
  {
    name: "of zeros: zeros, finite gradients",
    op: rmsNorm,
    inputs: { x: floats([2, 6], 0), weight: normal([6]) },
    gradientTolerance: { atol: 1e-2, rtol: 1e-4 },
  },
  {
    name: "of large numbers",
    op: rmsNorm,
    inputs: { x: normal([3, 8], 6e4), weight: normal([8]) },
    gradientTolerance: { atol: 1e-4, rtol: 1e-4 },
  },
  { name: "with a large eps", op: rmsNorm, inputs: { x: normal([4, 6]), weight: normal([6]) }, attrs: { eps: 0.3 } },
  { name: "of a transposed view", op: rmsNorm, inputs: { x: transposed(normal([7, 33])), weight: normal([33]) } },
  { name: "of a sliced view with a sliced weight", op: rmsNorm, inputs: { x: sliced(normal([3, 20])), weight: sliced(normal([20])) } },
  { name: "of repeated rows", op: rmsNorm, inputs: { x: expanded(normal([6, 10])), weight: normal([10]) } },
  {
    name: "of heads of one projection: QK-norm",
    inputs: { x: normal([2, 5, 24]), weight: normal([8]) },
    build: ({ x, weight }) => rmsNorm({ x: x!.reshape([2, 5, 3, 8]).permute([0, 2, 1, 3]), weight: weight! }),
  },
  ...rowShapes.map(
    (shape): Sample => ({
      name: `of ${shape.join("x")}`,
      op: rmsNormBackward,
      inputs: { x: normal(shape), weight: weightOf(shape), inverse: uniform(shape.slice(0, -1), 0.8, 1.2), dy: normal(shape) },
      tolerance,
      gradientTolerance: { atol: 5e-4, rtol: 5e-4 },
    }),
  ),
  { name: "without a weight", op: rmsNormBackward, inputs: { x: normal([3, 5]), inverse: uniform([3], 0.8, 1.2), dy: normal([3, 5]) } },
  {
    name: "with what flows around",
    op: rmsNormBackward,
    inputs: {
      ...{ x: normal([9, 37]), weight: weightOf([37]), inverse: uniform([9], 0.8, 1.2) },
      ...{ dy: normal([9, 37]), dsum: normal([9, 37]) },
    },
    tolerance,
  },
  ...rowShapes.map(
    (shape): Sample => ({
      name: `of ${shape.join("x")}`,
      op: addRmsNorm,
      inputs: { x: uniform(shape, 0.2, 1), residual: uniform(shape, 0.2, 1), weight: weightOf(shape) },
      tolerance,
    }),
  ),
  { name: "without a weight", op: addRmsNorm, inputs: { x: normal([5, 7]), residual: normal([5, 7]) } },
  { name: "of views", op: addRmsNorm, inputs: { x: transposed(normal([7, 12])), residual: sliced(normal([7, 12])), weight: normal([12]) } },
];
