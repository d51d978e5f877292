import type { Sample } from "@x/tensor";
import { sumOfSquares } from "../sum-of-squares.ts";
import { floats, normal, transposed } from "./inputs.ts";

const tolerance = { atol: 1e-5, rtol: 1e-4 };
export const sumOfSquaresSamples: readonly Sample[] = [
  { name: "of one scalar", op: sumOfSquares, inputs: { xs: [normal([])] } },
  { name: "of one tensor", op: sumOfSquares, inputs: { xs: [normal([5, 7])] }, tolerance },
  {
    name: "of many shapes, one of them empty",
    op: sumOfSquares,
    inputs: { xs: [normal([3]), normal([2, 4]), normal([0, 3]), normal([]), normal([1, 65])] },
    tolerance,
  },
  { name: "of many elements", op: sumOfSquares, inputs: { xs: [normal([4099]), normal([33, 65])] }, tolerance },
  { name: "of a transposed view", op: sumOfSquares, inputs: { xs: [transposed(normal([7, 12])), normal([3])] }, tolerance },
  { name: "of large numbers", op: sumOfSquares, inputs: { xs: [floats([3], 1e15, -2e15, 3e15)] }, tolerance },
];
