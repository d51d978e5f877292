import { defineOp, one, out } from "@x/tensor";
import { expect, test } from "vitest";
import { gradcheck } from "../src/index.ts";

test("right gradients pass, to second order, for several inputs and outputs", async () => {
  await gradcheck(({ a, b }) => [a!.matmul(b!).tanh(), a!.exp().sum(0)], { a: { shape: [2, 3] }, b: { shape: [3, 2] } }, { order: 2 });
});

test("integer inputs are left alone", async () => {
  await gradcheck(({ x, i }) => x!.take(i!).square(), {
    x: { shape: [4, 2] },
    i: { shape: [3], dtype: "i32", fill: { kind: "integers", low: 0, high: 4 } },
  });
});

const cube = (first: number, second: number) =>
  defineOp({
    name: "test.cube",
    inputs: { x: one() },
    outputs: { y: out() },
    infer: ({ x }) => ({ y: x }),
    reference: ({ x }) => ({ y: x.mul(x).mul(x) }),
    saves: ["x"],
    // `second` spoils the derivative of the derivative only: the value x.mul(x) is right, what autograd sees of it is not.
    grad: ({ saved: { x }, upstream }) => ({ x: upstream.y?.mul(x.mul(second === 1 ? x : blind({ x })).mul(3 * first)) }),
  });
const blind = defineOp({
  name: "test.blind",
  inputs: { x: one() },
  outputs: { y: out() },
  infer: ({ x }) => ({ y: x }),
  reference: ({ x }) => ({ y: x.mul(1) }),
  grad: () => ({}),
});

test("a wrong gradient fails and names the input; a wrong second derivative only fails order 2", async () => {
  const inputs = { x: { shape: [3] } };
  await gradcheck(({ x }) => cube(1, 1)({ x: x! }), inputs, { order: 2 });
  await expect(gradcheck(({ x }) => cube(1.01, 1)({ x: x! }), inputs)).rejects.toThrow(/gradient with respect to x/);
  await gradcheck(({ x }) => cube(1, 0)({ x: x! }), inputs);
  await expect(gradcheck(({ x }) => cube(1, 0)({ x: x! }), inputs, { order: 2 })).rejects.toThrow(/second derivative with respect to x/);
});

test("a function without a floating point output is refused", async () => {
  await expect(gradcheck(({ x }) => x!.gt(0), { x: { shape: [3] } })).rejects.toThrow(/no floating point output/);
});
