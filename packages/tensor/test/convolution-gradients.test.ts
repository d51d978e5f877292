import { gradcheck } from "@x/testing";
import { describe, test } from "vitest";
import { convolution } from "../src/index.ts";

const cases = [
  { name: "one axis", x: [1, 2, 5], weight: [2, 2, 3], attrs: {} },
  { name: "causal, depthwise", x: [2, 2, 4], weight: [2, 1, 3], attrs: { padding: [[2, 0]], groups: 2 } },
  { name: "strides that leave a rest", x: [1, 1, 7], weight: [2, 1, 2], attrs: { stride: [3], padding: [[1, 0]] } },
  { name: "dilated and grouped", x: [1, 4, 6], weight: [2, 2, 2], attrs: { dilation: [2], groups: 2, padding: [[1, 2]] } },
  { name: "input dilation", x: [1, 2, 3], weight: [1, 2, 3], attrs: { inputDilation: [2], padding: [[1, 2]] } },
  { name: "padding that cuts", x: [1, 1, 6], weight: [1, 1, 2], attrs: { padding: [[-1, -2]] } },
  {
    name: "two axes, everything at once",
    x: [1, 2, 4, 3],
    weight: [2, 1, 2, 2],
    attrs: {
      stride: [2, 1],
      padding: [
        [1, 0],
        [0, 1],
      ],
      dilation: [1, 2],
      inputDilation: [1, 2],
      groups: 2,
    },
  },
] as const;

describe("convolution", () => {
  test.each(cases)("$name", ({ x, weight, attrs }) =>
    gradcheck(
      ({ x, weight }) => convolution({ x: x!, weight: weight! }, attrs).tanh(),
      { x: { shape: x }, weight: { shape: weight } },
      { order: 2, rtol: 2e-5 },
    ),
  );
});
