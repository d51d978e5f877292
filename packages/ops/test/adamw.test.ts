import { reference, setDefaultDevice, type Tensor, tensor } from "@x/tensor";
import { beforeAll, expect, test } from "vitest";
import { adamw } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const state = () => ({ param: tensor([1, -2, 3]), grad: tensor([0.5, 0.1, -2]), m: tensor([0.1, 0, -0.1]), v: tensor([0.2, 0.3, 0.4]) });
const read = async (made: { param: Tensor; m: Tensor; v: Tensor }) => [
  [...(await made.param.data())],
  [...(await made.m.data())],
  [...(await made.v.data())],
];
const attrs = { weightDecay: 0.1 };

test("the first step moves by the rate against the gradient's sign, however small the gradient is against eps's place", async () => {
  const zero = tensor([0, 0]);
  const { param } = adamw({ param: tensor([1, 1]), grad: tensor([1e-3, -1e3]), m: zero, v: zero, lr: 0.1, step: 1 });
  expect([...(await param.data())]).toEqual([expect.closeTo(0.9, 5), expect.closeTo(1.1, 5)]);
});

test("decay is decoupled: it takes lr * weightDecay of the parameter, and leaves the moments alone", async () => {
  const zero = tensor([0]);
  const { param, m, v } = adamw({ param: tensor([2]), grad: zero, m: zero, v: zero, lr: 0.5, step: 1 }, { weightDecay: 0.1 });
  expect([await param.item(), await m.item(), await v.item()]).toEqual([expect.closeTo(1.9, 6), 0, 0]);
});

test("gradScale multiplies the gradient before both moments", async () => {
  const { grad, ...rest } = state();
  const clipped = await read(adamw({ ...rest, grad, lr: 0.01, step: 3, gradScale: tensor(0.25) }, attrs));
  expect(clipped).toEqual(await read(adamw({ ...rest, grad: grad.mul(0.25), lr: 0.01, step: 3 }, attrs)));
});

test("a skipped step changes nothing, even where the gradient is NaN", async () => {
  const { grad: _, ...rest } = state();
  const grad = tensor([Number.NaN, Number.POSITIVE_INFINITY, 1]);
  const skipped = await read(adamw({ ...rest, grad, lr: 0.01, step: 3, skip: tensor(true) }, attrs));
  expect(skipped).toEqual(await read(rest));
});

test("a step that is not skipped is the same as one that cannot be", async () => {
  const inputs = { ...state(), lr: 0.01, step: 3 };
  expect(await read(adamw({ ...inputs, skip: tensor(false) }, attrs))).toEqual(await read(adamw(inputs, attrs)));
});

test("bias correction is exact in f32 at the first step of a slow average", async () => {
  const zero = tensor([0]);
  const { param } = adamw({ param: zero, grad: tensor([1]), m: zero, v: zero, lr: 1, step: 1 }, { beta1: 0.9999, beta2: 0.99999 });
  // 1 - f32(0.99999) is off by a thousandth; the step itself is 1.
  expect(await param.item()).toBeCloseTo(-1, 5);
});

test("half precision parameters keep f32 moments", async () => {
  const { param, grad, m, v } = state();
  const half = adamw({ param: param.cast("bf16"), grad: grad.cast("bf16"), m, v, lr: 0.01, step: 3 }, attrs);
  expect([half.param.dtype, half.m.dtype, half.v.dtype]).toEqual(["bf16", "f32", "f32"]);
});
