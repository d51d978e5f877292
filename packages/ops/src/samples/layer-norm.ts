import type { Sample } from "@x/tensor";
import { addLayerNorm, layerNorm, layerNormBackward } from "../layer-norm.ts";
import { expanded, floats, normal, rowShapes, sliced, transposed, uniform } from "./inputs.ts";

type Shape = readonly number[];
const affine = (dim: number) => ({ weight: normal([dim], 0.5, 1), bias: normal([dim]) });
const shapes = rowShapes.filter((shape) => shape.at(-1) !== 1);
/** Gradients of weights are sums over all rows; those of rows of 4097 are sums over the row. */
const tolerance = { atol: 5e-5, rtol: 5e-5 };
const rowsOf = (shape: Shape): Shape => shape.slice(0, -1);

const plain: readonly Sample[] = [
  ...shapes.map(
    (shape): Sample => ({
      name: `of ${shape.join("x")}`,
      op: layerNorm,
      inputs: { x: normal(shape), ...affine(shape.at(-1)!) },
      tolerance,
    }),
  ),
  { name: "without weight and bias", op: layerNorm, inputs: { x: normal([5, 7]) } },
  { name: "without bias", op: layerNorm, inputs: { x: normal([5, 7]), weight: normal([7]) } },
  { name: "with a bias alone", op: layerNorm, inputs: { x: normal([5, 7]), bias: normal([7]) } },
  { name: "of one row without other axes", op: layerNorm, inputs: { x: normal([9]), ...affine(9) } },
  { name: "of width 1: the bias", op: layerNorm, inputs: { x: normal([3, 1]), ...affine(1) } },
  {
    name: "of constant rows: the bias, finite gradients",
    op: layerNorm,
    inputs: { x: floats([3, 8], 4), ...affine(8) },
    gradientTolerance: { atol: 2e-3, rtol: 1e-4 },
  },
  // f32 keeps numbers near 1e4 to about 1e-3: mean(x^2) - mean^2 would keep nothing of the variance.
  { name: "of 1e4 + N(0, 1)", op: layerNorm, inputs: { x: normal([4, 65], 1, 1e4), ...affine(65) }, tolerance: { atol: 1e-2, rtol: 1e-3 } },
  { name: "with a large eps", op: layerNorm, inputs: { x: normal([4, 6]), ...affine(6) }, attrs: { eps: 0.7 } },
  { name: "of a transposed view", op: layerNorm, inputs: { x: transposed(normal([7, 33])), ...affine(33) } },
  {
    name: "of a sliced view with sliced weights",
    op: layerNorm,
    inputs: { x: sliced(normal([3, 20])), weight: sliced(normal([20])), bias: sliced(normal([20])) },
  },
  { name: "of repeated rows", op: layerNorm, inputs: { x: expanded(normal([6, 10])), ...affine(10) } },
];

const backward = shapes.map(
  (shape): Sample => ({
    name: `of ${shape.join("x")}`,
    op: layerNormBackward,
    inputs: {
      x: normal(shape),
      weight: normal([shape.at(-1)!], 0.5, 1),
      mean: normal(rowsOf(shape), 0.1),
      inverse: uniform(rowsOf(shape), 0.8, 1.2),
      dy: normal(shape),
    },
    tolerance,
    gradientTolerance: { atol: 5e-4, rtol: 5e-4 },
  }),
);

export const layerNormSamples: readonly Sample[] = [
  ...plain,
  ...backward,
  {
    name: "without a weight",
    op: layerNormBackward,
    inputs: { x: normal([3, 5]), mean: normal([3], 0.1), inverse: uniform([3], 0.8, 1.2), dy: normal([3, 5]) },
  },
  {
    name: "with what flows around",
    op: layerNormBackward,
    inputs: {
      ...{ x: normal([9, 37]), weight: normal([37], 0.5, 1), dy: normal([9, 37]), dsum: normal([9, 37]) },
      ...{ mean: normal([9], 0.1), inverse: uniform([9], 0.8, 1.2) },
    },
    tolerance,
  },
  ...shapes.map(
    (shape): Sample => ({
      name: `of ${shape.join("x")}`,
      op: addLayerNorm,
      inputs: { x: normal(shape), residual: normal(shape), ...affine(shape.at(-1)!) },
      tolerance,
    }),
  ),
  { name: "without weight and bias", op: addLayerNorm, inputs: { x: normal([5, 7]), residual: normal([5, 7]) } },
  { name: "of views", op: addLayerNorm, inputs: { x: transposed(normal([7, 12])), residual: sliced(normal([7, 12])), ...affine(12) } },
];
