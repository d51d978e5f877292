import { defineOp, one, out, type Tensor } from "@x/tensor";
import { expectDType, expectFloat, expectShape, lastOf } from "./expect.ts";

const who = "linearBackwardWeights";
const rows = (x: Tensor): Tensor => x.reshape([x.shape.slice(0, -1).reduce((n, extent) => n * extent, 1), x.shape.at(-1)!]);

/**
 * The gradients of `linear` in its weight and bias, in one pass over dy: x [..., inputs], dy [..., outputs] -> weight dy^T x [outputs, inputs], bias [outputs], the sum of dy over all leading
 * axes.
 */
export const linearBackwardWeights = defineOp({
  name: who,
  inputs: { x: one(), dy: one() },
  outputs: { weight: out(), bias: out() },
  infer: ({ x, dy }) => {
    expectFloat(who, "x", x);
    expectDType(who, "dy", dy, x);
    const [inputs, outputs] = [lastOf(who, "x", x), lastOf(who, "dy", dy)];
    expectShape(who, "dy", dy, [...x.shape.slice(0, -1), outputs], "to match the rows of x");
    return { weight: { shape: [outputs, inputs], dtype: x.dtype }, bias: { shape: [outputs], dtype: x.dtype } };
  },
  reference: ({ x, dy }) => ({ weight: rows(dy).transpose().matmul(rows(x)), bias: rows(dy).sum(0) }),
  saves: ["x", "dy"],
  grad: ({ saved: { x, dy }, upstream: { weight, bias }, needs }) => {
    const throughWeight = weight && needs("dy") ? rows(x).matmul(weight.transpose()).reshape(dy.shape) : undefined;
    const throughBias = bias && needs("dy") ? bias.expand(dy.shape) : undefined;
    return {
      x: weight && needs("x") ? rows(dy).matmul(weight).reshape(x.shape) : undefined,
      dy: throughWeight && throughBias ? throughWeight.add(throughBias) : (throughWeight ?? throughBias),
    };
  },
});
