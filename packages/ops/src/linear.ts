import { aux, defineOp, maybe, one, out, ShapeError, show, type Tensor, TensorError, vjp } from "@x/tensor";
import { type Activation, activations } from "./activations.ts";
import { expectDType, expectFloat, expectSame, expectShape, lastOf } from "./expect.ts";
import { linearBackwardWeights } from "./linear-backward.ts";

/** All leading axes as one: [..., n] -> [rows, n]. */
const rows = (x: Tensor): Tensor => x.reshape([x.shape.slice(0, -1).reduce((n, extent) => n * extent, 1), x.shape.at(-1)!]);

/**
 * activation(x W^T + bias) + residual in one launch. x [..., inputs], weight [outputs, inputs], bias [outputs], residual [..., outputs] -> [..., outputs]. The
 * pre-activation is kept only where a gradient reads it.
 */
export const linear = defineOp({
  name: "linear",
  inputs: { x: one(), weight: one(), bias: maybe(), residual: maybe() },
  attrs: { activation: "none" as Activation },
  outputs: { y: out(), pre: aux() },
  infer: ({ x, weight, bias, residual }, { activation }) => {
    expectFloat("linear", "x", x);
    expectDType("linear", "weight", weight, x);
    const inputs = lastOf("linear", "x", x);
    if (weight.shape.length !== 2 || weight.shape[1] !== inputs)
      throw new ShapeError(`linear: weight must be [outputs, ${inputs}] to match x ${show(x.shape)}, got ${show(weight.shape)}.`);
    const shape = [...x.shape.slice(0, -1), weight.shape[0]!];
    const y = { shape, dtype: x.dtype };
    if (bias) expectShape("linear", "bias", bias, [weight.shape[0]!], `to match weight ${show(weight.shape)}`);
    if (bias) expectDType("linear", "bias", bias, x);
    if (residual) expectSame("linear", "residual", residual, y, "the result");
    if (!(activation in activations))
      throw new TensorError(`linear: activation must be one of ${Object.keys(activations).join(", ")}, got "${activation}".`);
    return { y, pre: y };
  },
  reference: ({ x, weight, bias, residual }, { activation }) => {
    const product = rows(x)
      .matmul(weight.transpose())
      .reshape([...x.shape.slice(0, -1), weight.shape[0]!]);
    const pre = bias ? product.add(bias) : product;
    const y = activations[activation](pre);
    return { y: residual ? y.add(residual) : y, pre };
  },
  saves: ["x", "weight", "pre"],
  keeps: (name, { activation }) => name !== "pre" || activation !== "none",
  grad: ({ saved: { x, weight, pre }, attrs: { activation }, upstream, needs }) => {
    const dy = upstream.y;
    const through = dy && (activation === "none" ? dy : derivative(activation, pre, dy));
    const dpre = through && upstream.pre ? through.add(upstream.pre) : (through ?? upstream.pre)!;
    const flat = rows(dpre);
    return {
      x: needs("x") ? flat.matmul(weight).reshape(x.shape) : undefined,
      ...(needs("weight") && needs("bias")
        ? linearBackwardWeights({ x: rows(x), dy: flat })
        : {
            weight: needs("weight") ? flat.transpose().matmul(rows(x)) : undefined,
            bias: needs("bias") ? flat.sum(0) : undefined,
          }),
      residual: needs("residual") ? dy : undefined,
    };
  },
});

/** dy times the activation's slope at `pre`, as its own contract defines it. */
function derivative(activation: Activation, pre: Tensor, dy: Tensor): Tensor {
  return vjp(() => [activations[activation](pre)], pre, [dy]).gradients;
}
