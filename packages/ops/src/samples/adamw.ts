import type { Sample, SampleInput } from "@x/tensor";
import { adamw } from "../adamw.ts";
import { bools, floats, normal, transposed, uniform } from "./inputs.ts";

type Shape = readonly number[];
const moments = (shape: Shape) => ({ param: normal(shape), grad: normal(shape), m: normal(shape, 0.1), v: uniform(shape, 0, 0.01) });
const fresh = (shape: Shape) => ({ param: normal(shape), grad: normal(shape), m: floats(shape, 0), v: floats(shape, 0) });
const scalarOf = (value: number): SampleInput => floats([], value);
const tolerance = { atol: 2e-6, rtol: 1e-5 };
const gradients: readonly string[] = [];

const attrs = { weightDecay: 0.1 };
const shapes: readonly Shape[] = [[1], [], [7], [5, 13], [4099], [0], [2, 3, 4]];

const cases: readonly Sample[] = [
  ...shapes.map(
    (shape): Sample => ({
      name: `of ${shape.join("x") || "a scalar"}`,
      op: adamw,
      inputs: { ...moments(shape), lr: 0.01, step: 7 },
      attrs,
    }),
  ),
  { name: "the first step", op: adamw, inputs: { ...fresh([33]), lr: 0.1, step: 1 } },
  { name: "the first step of small gradients", op: adamw, inputs: { ...fresh([9]), grad: normal([9], 1e-8), lr: 0.1, step: 1 } },
  { name: "a late step", op: adamw, inputs: { ...moments([33]), lr: 3e-4, step: 100_000 }, attrs },
  {
    name: "with a rate and a step on the device",
    op: adamw,
    inputs: { ...moments([5, 3]), lr: scalarOf(0.02), step: floats([1], 3) },
    attrs,
  },
  {
    name: "with other betas and eps",
    op: adamw,
    inputs: { ...moments([17]), lr: 0.02, step: 2 },
    attrs: { beta1: 0.8, beta2: 0.95, eps: 0.01, weightDecay: 0.3 },
  },
  { name: "with beta1 0", op: adamw, inputs: { ...moments([17]), lr: 0.02, step: 2 }, attrs: { beta1: 0 } },
  { name: "with clipping", op: adamw, inputs: { ...moments([5, 3]), lr: 0.02, step: 4, gradScale: scalarOf(0.37) }, attrs },
  { name: "with nothing to skip", op: adamw, inputs: { ...moments([5, 3]), lr: 0.02, step: 4, skip: bools([], 0) }, attrs },
  { name: "skipped", op: adamw, inputs: { ...moments([5, 3]), lr: 0.02, step: 4, skip: bools([], 1) }, attrs },
  {
    name: "skipped for gradients that are not finite, scaled by NaN",
    op: adamw,
    inputs: {
      ...moments([3, 2]),
      grad: floats([3, 2], Number.NaN, 1, Number.POSITIVE_INFINITY),
      lr: 0.02,
      step: 4,
      gradScale: scalarOf(Number.NaN),
      skip: bools([], 1),
    },
    attrs,
  },
  {
    name: "of a transposed gradient",
    op: adamw,
    inputs: { ...moments([7, 12]), grad: transposed(normal([7, 12])), lr: 0.02, step: 4 },
    attrs,
  },
];

/** No gradients: nobody differentiates an update. */
export const adamwSamples: readonly Sample[] = cases.map((sample) => ({ ...sample, tolerance, gradients }));
