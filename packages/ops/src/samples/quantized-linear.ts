import type { Sample, SampleInput, Shape } from "@x/tensor";
import type { Quantization } from "../quantized/layout.ts";
import { quantizedLinear } from "../quantized/quantized-linear.ts";
import { normal, sliced, transposed, uniform } from "./inputs.ts";

interface Size extends Quantization {
  readonly rows: Shape;
  readonly inputs: number;
  readonly outputs: number;
}

const bytes = (shape: Shape, high: number): SampleInput => ({ shape, dtype: "u8", fill: { kind: "integers", low: 0, high } });

/** Any codes are legal, those that fill up the last group too: nothing may be taken from there. */
function inputsOf({ rows, inputs, outputs, bits, group }: Size) {
  const groups = Math.ceil(inputs / group);
  const perCode = 2 ** bits * Math.sqrt(Math.max(1, inputs));
  return {
    x: normal([...rows, inputs]),
    weight: bytes([outputs, (groups * group * bits) / 8], 256),
    scales: uniform([outputs, groups], 1 / perCode, 3 / perCode),
    zeros: bytes([outputs, groups], 2 ** bits),
  };
}

const sizes: readonly Size[] = [
  { rows: [1], inputs: 1, outputs: 1, bits: 8, group: 32 },
  { rows: [1], inputs: 1, outputs: 1, bits: 4, group: 32 },
  { rows: [], inputs: 32, outputs: 3, bits: 8, group: 32 },
  { rows: [], inputs: 37, outputs: 9, bits: 4, group: 32 },
  { rows: [2], inputs: 130, outputs: 5, bits: 8, group: 64 },
  { rows: [3, 1], inputs: 256, outputs: 66, bits: 4, group: 128 },
  { rows: [4], inputs: 70, outputs: 17, bits: 8, group: 128 },
  { rows: [5], inputs: 63, outputs: 8, bits: 4, group: 64 },
  { rows: [1], inputs: 1100, outputs: 70, bits: 4, group: 32 },
  { rows: [2, 50], inputs: 96, outputs: 41, bits: 8, group: 32 },
  { rows: [33], inputs: 576, outputs: 65, bits: 4, group: 64 },
  { rows: [0], inputs: 64, outputs: 3, bits: 8, group: 64 },
  { rows: [2], inputs: 64, outputs: 0, bits: 4, group: 32 },
  { rows: [2], inputs: 0, outputs: 3, bits: 4, group: 32 },
];
const name = ({ rows, inputs, outputs, bits, group }: Size) => `of ${[...rows, inputs].join("x")} to ${outputs}, ${bits} bits by ${group}`;
const common = { op: quantizedLinear, tolerance: { atol: 5e-5, rtol: 2e-5 }, gradients: ["x", "bias"] };
const views: Size = { rows: [9], inputs: 45, outputs: 7, bits: 4, group: 32 };
const how = ({ bits, group }: Size) => ({ bits, group });

export const quantizedLinearSamples: readonly Sample[] = [
  ...sizes.flatMap((size): Sample[] => [
    { ...common, name: name(size), inputs: inputsOf(size), attrs: how(size) },
    { ...common, name: `${name(size)} with a bias`, inputs: { ...inputsOf(size), bias: normal([size.outputs]) }, attrs: how(size) },
  ]),
  {
    ...common,
    name: "scales of f16",
    inputs: { ...inputsOf(views), scales: { ...uniform([7, 2], 0.01, 0.02), dtype: "f16" } },
    attrs: how(views),
  },
  {
    ...common,
    name: "x of f16, summed in f32",
    inputs: { ...inputsOf(views), x: { ...normal([9, 45]), dtype: "f16" }, bias: { ...normal([7]), dtype: "f16" } },
    attrs: how(views),
    tolerance: { atol: 4e-3, rtol: 4e-3 },
  },
  { ...common, name: "of a transposed x", inputs: { ...inputsOf(views), x: transposed(normal([9, 45])) }, attrs: how(views) },
  {
    ...common,
    name: "of sliced views",
    inputs: Object.fromEntries(Object.entries({ ...inputsOf(views), bias: normal([7]) }).map(([key, input]) => [key, sliced(input)])),
    attrs: how(views),
  },
];
