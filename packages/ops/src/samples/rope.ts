import type { Sample, SampleInput } from "@x/tensor";
import { rope } from "../rope.ts";
import { floats, integers, ints, normal, sliced, transposed } from "./inputs.ts";

/** cos and sin of position * theta^(-i / pairs), [length, pairs]. */
function tables(length: number, pairs: number, theta = 10000): { cos: SampleInput; sin: SampleInput } {
  const angles = Array.from({ length: length * pairs }, (_, i) => Math.floor(i / pairs) * theta ** (-(i % pairs) / pairs));
  return { cos: floats([length, pairs], ...angles.map(Math.cos)), sin: floats([length, pairs], ...angles.map(Math.sin)) };
}

interface Size {
  readonly shape: readonly [number, number, number, number];
  readonly pairs: number;
}
const sizes: readonly Size[] = [
  { shape: [1, 1, 1, 2], pairs: 1 },
  { shape: [2, 3, 5, 8], pairs: 4 },
  { shape: [1, 2, 7, 40], pairs: 20 },
  { shape: [2, 1, 3, 72], pairs: 36 },
  { shape: [1, 3, 33, 64], pairs: 32 },
  { shape: [2, 2, 4, 10], pairs: 3 },
  { shape: [1, 2, 5, 80], pairs: 16 },
  { shape: [1, 2, 3, 7], pairs: 3 },
  { shape: [0, 2, 3, 4], pairs: 2 },
  { shape: [2, 2, 0, 4], pairs: 2 },
];

const variants: readonly Readonly<Record<string, boolean>>[] = [
  {},
  { interleaved: true },
  { inverse: true },
  { interleaved: true, inverse: true },
];
const only = ["x"];

export const ropeSamples: readonly Sample[] = [
  ...sizes.flatMap(({ shape, pairs }) =>
    variants.map(
      (attrs): Sample => ({
        name: [`of ${shape.join("x")}, ${pairs} pairs`, ...Object.keys(attrs)].join(", "),
        op: rope,
        inputs: { x: normal(shape), ...tables(50, pairs), positions: integers([shape[2]], 0, 50) },
        attrs,
        gradients: only,
      }),
    ),
  ),
  {
    name: "with positions per batch entry",
    op: rope,
    inputs: { x: normal([2, 3, 4, 6]), ...tables(9, 3), positions: ints([2, 4], 1, 1, 0, 1, 5, 6, 7, 8) },
    gradients: only,
  },
  {
    name: "with positions per batch entry, interleaved, partial",
    op: rope,
    inputs: { x: normal([3, 1, 2, 6]), ...tables(9, 2), positions: integers([3, 2], 0, 9) },
    attrs: { interleaved: true },
    gradients: only,
  },
  {
    name: "of one new token at its position",
    op: rope,
    inputs: { x: normal([2, 4, 1, 16]), ...tables(40, 8), positions: ints([2, 1], 17, 39) },
    gradients: only,
  },
  {
    name: "of a transposed view",
    op: rope,
    inputs: { x: transposed(normal([1, 2, 5, 8])), ...tables(5, 4), positions: ints([5], 0, 1, 2, 3, 4) },
    gradients: only,
  },
  {
    name: "of sliced views",
    op: rope,
    inputs: { x: sliced(normal([1, 2, 5, 8])), ...tables(5, 4), positions: sliced(ints([5], 0, 1, 2, 3, 4)) },
    attrs: { interleaved: true },
    gradients: only,
  },
  {
    name: "rope of heads of one projection",
    inputs: { x: normal([2, 5, 24]), ...tables(5, 4), positions: ints([5], 0, 1, 2, 3, 4) },
    gradients: only,
    build: ({ x, cos, sin, positions }) =>
      rope({ x: x!.reshape([2, 5, 3, 8]).permute([0, 2, 1, 3]), cos: cos!, sin: sin!, positions: positions! }),
  },
];
