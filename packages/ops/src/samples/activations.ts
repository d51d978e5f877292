import type { Sample } from "@x/tensor";
import { gelu, geluTanh, relu, silu, swiglu } from "../activations.ts";
import { floats, normal, rowShapes, transposed } from "./inputs.ts";

const unary = { relu, gelu, geluTanh, silu };

/** Far out, where a naive formula overflows, around 0, and 0 itself. */
const extremes = floats([16], -1e4, -88, -30, -6, -3, -1, -1e-3, -1e-20, 0, 1e-20, 1e-3, 1, 3, 6, 30, 1e4);

export const activationSamples: readonly Sample[] = [
  ...Object.values(unary).flatMap((op): Sample[] => [
    ...rowShapes.map((shape): Sample => ({ name: `of ${shape.join("x")}`, op, inputs: { x: normal(shape, 2) } })),
    { name: "of extreme numbers", op, inputs: { x: extremes } },
    { name: "of a transposed view", op, inputs: { x: transposed(normal([7, 33])) } },
    { name: "of a scalar", op, inputs: { x: normal([]) } },
  ]),
  ...rowShapes.map(
    (shape): Sample => ({ name: `of ${shape.join("x")}`, op: swiglu, inputs: { gate: normal(shape, 2), up: normal(shape) } }),
  ),
  { name: "of extreme gates", op: swiglu, inputs: { gate: extremes, up: normal([16]) } },
  { name: "of views", op: swiglu, inputs: { gate: transposed(normal([7, 33])), up: normal([7, 33]) } },
  {
    name: "swiglu of the halves of one projection",
    inputs: { x: normal([2, 5, 14]) },
    build: ({ x }) => swiglu({ gate: x!.slice(-1, 0, 7), up: x!.slice(-1, 7, 14) }),
  },
];
