import { dtypes } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { defineOp, one, out, type Spec } from "../op.ts";
import { type Shape, show } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Of each spatial axis; a missing entry is 1 (0 for padding). Padding may be negative: it cuts. */
export interface ConvolutionAttrs {
  readonly stride: readonly number[];
  readonly padding: readonly (readonly [number, number])[];
  readonly dilation: readonly number[];
  /** Spaces put between the input's elements, as a transposed convolution has. */
  readonly inputDilation: readonly number[];
  readonly groups: number;
}

/** The extents of the result: what XLA's general convolution gives. */
export function convolvedShape(x: Shape, weight: Shape, { stride, padding, dilation, inputDilation }: ConvolutionAttrs): number[] {
  return x.slice(2).map((n, i) => {
    const [low, high] = padding[i] ?? [0, 0];
    const spread = n === 0 ? 0 : (n - 1) * (inputDilation[i] ?? 1) + 1;
    const span = (weight[i + 2]! - 1) * (dilation[i] ?? 1) + 1;
    return Math.max(0, Math.floor((spread + low + high - span) / (stride[i] ?? 1)) + 1);
  });
}

/**
 * Convolution (correlation, as everyone's) over one or two spatial axes, with zero padding: x [batch, inputs, ...space], weight [outputs, inputs / groups,
 * ...kernel] -> [batch, outputs, ...space']. General enough that its gradients are convolutions too.
 */
export const convolution = defineOp({
  name: "convolution",
  inputs: { x: one(), weight: one() },
  attrs: {
    stride: [] as readonly number[],
    padding: [] as readonly (readonly [number, number])[],
    dilation: [] as readonly number[],
    inputDilation: [] as readonly number[],
    groups: 1,
  },
  outputs: { y: out() },
  infer: ({ x, weight }, attrs) => {
    check(x, weight, attrs.groups);
    return { y: { shape: [x.shape[0]!, weight.shape[0]!, ...convolvedShape(x.shape, weight.shape, attrs)], dtype: x.dtype } };
  },
  saves: ["x", "weight"],
  grad: ({ saved: { x, weight }, attrs, upstream, needs }) => ({
    x: needs("x") ? inputGradient(upstream.y!, weight, x.shape, attrs) : undefined,
    weight: needs("weight") ? weightGradient(upstream.y!, x, weight.shape, attrs) : undefined,
  }),
});

function check(x: Spec, weight: Spec, groups: number): void {
  if (x.dtype !== weight.dtype || dtypes[x.dtype].kind !== "float")
    throw new DTypeError(`convolution: x and weight must be one floating point dtype, got ${x.dtype} and ${weight.dtype}.`);
  const rank = x.shape.length;
  if (rank < 3 || rank > 4 || weight.shape.length !== rank)
    throw new ShapeError(
      `convolution: x must be [batch, channels, ...space] with one or two spatial axes and weight of equal rank, got ${show(x.shape)} and ${show(weight.shape)}.`,
    );
  const [inputs, outputs] = [x.shape[1]!, weight.shape[0]!];
  if (inputs % groups !== 0 || outputs % groups !== 0 || weight.shape[1] !== inputs / groups)
    throw new ShapeError(
      `convolution: weight must be [outputs, ${inputs}/${groups}, ...] with outputs a multiple of groups ${groups} to match x ${show(x.shape)}, got ${show(weight.shape)}.`,
    );
}

const spatial = (shape: Shape): number[] => shape.slice(2).map((_, i) => i);

/** The adjoint in x: strides become input dilation, the kernel is flipped and its channels exchanged within each group. */
function inputGradient(g: Tensor, weight: Tensor, xShape: Shape, attrs: ConvolutionAttrs): Tensor {
  const { groups } = attrs;
  const [outputs, inputsPerGroup, ...kernel] = weight.shape as [number, number, ...number[]];
  const axes = spatial(xShape);
  const exchanged = weight
    .reshape([groups, outputs / groups, inputsPerGroup, ...kernel])
    .permute([0, 2, 1, ...axes.map((i) => i + 3)])
    .reshape([groups * inputsPerGroup, outputs / groups, ...kernel]);
  const flipped = axes.reduce((w, i) => w.flip(i + 2), exchanged);
  const padding = axes.map((i): [number, number] => {
    const span = (kernel[i]! - 1) * (attrs.dilation[i] ?? 1);
    const low = span - (attrs.padding[i]?.[0] ?? 0);
    const spreadG = (g.shape[i + 2]! - 1) * (attrs.stride[i] ?? 1) + 1;
    return [low, (xShape[i + 2]! - 1) * (attrs.inputDilation[i] ?? 1) + span + 1 - spreadG - low];
  });
  return convolution(
    { x: g, weight: flipped },
    { stride: attrs.inputDilation, padding, dilation: attrs.dilation, inputDilation: attrs.stride, groups },
  );
}

/** The adjoint in the weight: a convolution over the batch, with the upstream gradient as its kernel. */
function weightGradient(g: Tensor, x: Tensor, weightShape: Shape, attrs: ConvolutionAttrs): Tensor {
  const { groups } = attrs;
  const [batch, inputs, ...space] = x.shape as [number, number, ...number[]];
  const axes = spatial(x.shape);
  const moved = x
    .reshape([batch, groups, inputs / groups, ...space])
    .permute([2, 1, 0, ...axes.map((i) => i + 3)])
    .reshape([inputs / groups, groups * batch, ...space]);
  const kernel = g.permute([1, 0, ...axes.map((i) => i + 2)]);
  const padding = axes.map((i): [number, number] => {
    const low = attrs.padding[i]?.[0] ?? 0;
    const spread = (space[i]! - 1) * (attrs.inputDilation[i] ?? 1) + 1;
    const span = (g.shape[i + 2]! - 1) * (attrs.stride[i] ?? 1) + 1;
    return [low, (weightShape[i + 2]! - 1) * (attrs.dilation[i] ?? 1) + span - spread - low];
  });
  const made = convolution(
    { x: moved, weight: kernel },
    { stride: attrs.dilation, padding, dilation: attrs.stride, inputDilation: attrs.inputDilation, groups },
  );
  return made.permute([1, 0, ...axes.map((i) => i + 2)]);
}
