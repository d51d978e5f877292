import { concat, DTypeError, defineOp, maybe, one, out, required, ShapeError, show, statisticsOf, type Tensor } from "@x/tensor";
import { expectDType, expectFloat, expectShape, lastOf } from "../expect.ts";
import { type Quantization, quantizedShapes } from "./layout.ts";

/**
 * x W^T + bias with W written down in 8 or 4 bits, asymmetric, in groups along the inputs: W[o, i] = (code - zeros[o, g]) scales[o, g] with g = i / group. x [..., inputs], weight u8 [outputs, bytes], scales of any floating type and
 * zeros u8 [outputs, groups], bias [outputs] -> [..., outputs]; sums are f32. The code of input i is byte i of a row, or with 4 bits the low (even i) or high half of byte i / 2; rows are filled up to whole groups: with its two last axes
 * joined, what ONNX's MatMulNBits takes. Codes, scales and zeros are constants: gradients reach x and the bias, and hold the whole weight in numbers while they are taken.
 */
export const quantizedLinear = defineOp({
  name: "quantizedLinear",
  inputs: { x: one(), weight: one(), scales: one(), zeros: one(), bias: maybe() },
  attrs: { bits: required<Quantization["bits"]>(), group: required<Quantization["group"]>() },
  outputs: { y: out() },
  infer: ({ x, weight, scales, zeros, bias }, how) => {
    const who = "quantizedLinear";
    expectFloat(who, "x", x);
    expectFloat(who, "scales", scales);
    const inputs = lastOf(who, "x", x);
    const outputs = weight.shape[0] ?? 0;
    const shapes = quantizedShapes({ outputs, inputs }, how, who);
    for (const [name, { dtype }] of Object.entries({ weight, zeros }))
      if (dtype !== "u8") throw new DTypeError(`${who}: ${name} must be u8, got ${dtype}. Make it with quantize(...).`);
    if (weight.shape.length !== 2 || weight.shape[1] !== shapes.weight[1])
      throw new ShapeError(
        `${who}: weight must be [outputs, ${shapes.weight[1]}] for x ${show(x.shape)}, ${how.bits} bits and groups of ${how.group}, got ${show(weight.shape)}.`,
      );
    const perGroup = `(outputs, groups of ${how.group} inputs)`;
    expectShape(who, "scales", scales, shapes.scales, perGroup);
    expectShape(who, "zeros", zeros, shapes.zeros, perGroup);
    if (bias) expectShape(who, "bias", bias, [outputs], `to match weight ${show(weight.shape)}`);
    if (bias) expectDType(who, "bias", bias, x);
    return { y: { shape: [...x.shape.slice(0, -1), outputs], dtype: x.dtype } };
  },
  reference: ({ x, bias, ...coded }, how) => {
    const wide = statisticsOf(x.dtype);
    const product = rows(x.cast(wide)).matmul(numbers(coded, x.shape.at(-1)!, how, wide).transpose());
    const y = bias ? product.add(bias.cast(wide)) : product;
    return { y: y.cast(x.dtype).reshape([...x.shape.slice(0, -1), coded.weight.shape[0]!]) };
  },
  saves: ["weight", "scales", "zeros"],
  grad: ({ saved, specs, attrs, upstream, needs }) => {
    const dy = rows(upstream.y!);
    const dx = () => dy.matmul(numbers(saved, specs.x.shape.at(-1)!, attrs, dy.dtype)).reshape(specs.x.shape);
    return { x: needs("x") ? dx() : undefined, bias: needs("bias") ? dy.sum(0) : undefined };
  },
});

/** All leading axes as one: [..., n] -> [rows, n]. */
const rows = (x: Tensor): Tensor => x.reshape([x.shape.slice(0, -1).reduce((n, extent) => n * extent, 1), x.shape.at(-1)!]);

interface Coded {
  readonly weight: Tensor;
  readonly scales: Tensor;
  readonly zeros: Tensor;
}

/** The weight [outputs, inputs] that codes stand for. */
function numbers({ weight, scales, zeros }: Coded, inputs: number, { bits, group }: Quantization, dtype: Tensor["dtype"]): Tensor {
  const [outputs, bytes] = weight.shape as [number, number];
  const wide = statisticsOf(dtype);
  const groups = scales.shape[1]!;
  const grouped = (perGroup: Tensor) => perGroup.cast(wide).reshape([outputs, groups, 1]);
  const codes = (bits === 8 ? weight.cast(wide) : halves(weight.cast(wide), bytes)).reshape([outputs, groups, group]);
  return codes
    .sub(grouped(zeros))
    .mul(grouped(scales))
    .reshape([outputs, groups * group])
    .slice(1, 0, inputs)
    .cast(dtype);
}

/** Bytes [outputs, n] as the codes in their low and high halves, [outputs, 2 n]. */
function halves(bytes: Tensor, n: number): Tensor {
  const high = bytes.mul(1 / 16).floor();
  const pair = [bytes.sub(high.mul(16)), high].map((codes) => codes.reshape([bytes.shape[0]!, n, 1]));
  return concat({ xs: pair }, { axis: 2 }).reshape([bytes.shape[0]!, 2 * n]);
}
