import type { Sample } from "@x/tensor";
import { logSoftmax, logSoftmaxBackward, softmax, softmaxBackward } from "../softmax.ts";
import { floats, normal, rowShapes, sliced, transposed, uniform } from "./inputs.ts";

const forward = [softmax, logSoftmax].flatMap((op): Sample[] => [
  ...rowShapes.map((shape): Sample => ({ name: `of ${shape.join("x")}`, op, inputs: { x: normal(shape, 3) } })),
  { name: "along the first axis", op, inputs: { x: normal([13, 5]) }, attrs: { axis: 0 } },
  { name: "along a middle axis", op, inputs: { x: normal([2, 9, 3]) }, attrs: { axis: 1 } },
  { name: "along a middle axis of extent 1", op, inputs: { x: normal([2, 1, 3]) }, attrs: { axis: -2 } },
  // Nothing overflows: exp(1e4) would, and so would the sum of exp(88).
  { name: "of large numbers", op, inputs: { x: floats([2, 5], 1e4, 9999, -1e4, 0, 1e4, 88, 88.5, 87, 88, 90) } },
  { name: "of rows with -1e30 in them", op, inputs: { x: floats([2, 3], -1e30, 1, 2, -1e30, -1e30, -1e30) } },
  { name: "of a transposed view", op, inputs: { x: transposed(normal([7, 33])) } },
  { name: "of a sliced view", op, inputs: { x: sliced(normal([3, 40])) } },
]);

export const softmaxSamples: readonly Sample[] = [
  ...forward,
  ...rowShapes.flatMap((shape): Sample[] => [
    { name: `of ${shape.join("x")}`, op: softmaxBackward, inputs: { y: uniform(shape, 0, 1), dy: normal(shape) }, ...long(shape) },
    { name: `of ${shape.join("x")}`, op: logSoftmaxBackward, inputs: { y: uniform(shape, -9, -1), dy: normal(shape) }, ...long(shape) },
  ]),
  { name: "along the first axis", op: softmaxBackward, inputs: { y: uniform([13, 5], 0, 1), dy: normal([13, 5]) }, attrs: { axis: 0 } },
  { name: "along the first axis", op: logSoftmaxBackward, inputs: { y: uniform([13, 5], -4, 0), dy: normal([13, 5]) }, attrs: { axis: 0 } },
];

/** Sums of thousands of numbers of size 1 are known to a few times their root. */
function long(shape: readonly number[]): Pick<Sample, "tolerance"> {
  return shape.at(-1)! < 1000 ? {} : { tolerance: { atol: 2e-4, rtol: 1e-4 } };
}
