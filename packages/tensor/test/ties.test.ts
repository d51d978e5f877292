import { beforeEach, expect, test } from "vitest";
import { grad, reference, setDefaultDevice, tensor } from "../src/index.ts";

beforeEach(() => setDefaultDevice(reference()));

test("halves round to even, with the sign of zero kept", async () => {
  const rounded = await tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.4, 0.6, -0.6]).round().data();
  expect([...rounded]).toEqual([-2, -2, -0, 0, 2, 2, 0, 1, -1]);
});

test("equal extrema of a row share the gradient", async () => {
  const x = tensor([[3, 1, 3, 3]]);
  const third = Math.fround(1 / 3);
  expect([...(await grad(() => x.max(-1).sum(), x).data())]).toEqual([third, 0, third, third]);
  expect([...(await grad(() => x.neg().min(-1).sum(), x).data())]).toEqual([-third, -0, -third, -third]);
});

test("equal operands of maximum and minimum share the gradient, so that relu-like functions have the mean slope", async () => {
  const [x, y] = [tensor([1, 2, 3]), tensor([2, 2, 2])];
  expect([...(await grad(() => x.maximum(y).sum(), x).data())]).toEqual([0, 0.5, 1]);
  expect([...(await grad(() => x.minimum(y).sum(), y).data())]).toEqual([0, 0.5, 1]);
});
