import { beforeEach, describe, expect, test } from "vitest";
import {
  compile,
  type Device,
  grad,
  noGrad,
  Parameter,
  reference,
  scope,
  setDefaultDevice,
  type Tensor,
  tensor,
  valueAndGrad,
  vjp,
} from "../src/index.ts";

let device: Device;
beforeEach(() => {
  device = reference();
  setDefaultDevice(device);
});
const numbers = async (t: Tensor) => [...(await t.data())];

test("the value comes with the gradient, in the form in which variables were given", async () => {
  const [x, y] = [tensor([1, 2]), tensor([3, 4])];
  const loss = () => x.mul(y).sum();
  const one = valueAndGrad(loss, x);
  expect([await one.value.item(), await numbers(one.gradients)]).toEqual([11, [3, 4]]);
  const [gx, gy] = grad(loss, [x, y] as const);
  expect([await numbers(gx), await numbers(gy)]).toEqual([
    [3, 4],
    [1, 2],
  ]);
  const record = grad(loss, { x, y });
  expect([await numbers(record.x), await numbers(record.y)]).toEqual([
    [3, 4],
    [1, 2],
  ]);
  const { value } = valueAndGrad(() => ({ loss: x.sum(), parts: [x.mul(2)] }), x);
  expect(await numbers(value.parts[0]!)).toEqual([2, 4]);
});

test("cells are variables like tensors, and one cell used twice collects both gradients", async () => {
  const w = new Parameter({ shape: [2], data: [2, 3] });
  const { w: g } = grad(() => w.value.mul(w.value).sum(), { w });
  expect(await numbers(g)).toEqual([4, 6]);
});

test("what the loss does not depend on has zeros, of its own shape and dtype", async () => {
  const [x, y] = [tensor([1, 2]), tensor([[5]], { dtype: "f16" })];
  const g = grad(() => x.sum(), { x, y }).y;
  expect([g.shape, g.dtype, await numbers(g)]).toEqual([[1, 1], "f16", [0]]);
});

test("noGrad hides, integers and comparisons stop", async () => {
  const x = tensor([1.5, -2]);
  expect(
    await numbers(
      grad(
        () =>
          noGrad(() => x.square())
            .add(x)
            .sum(),
        x,
      ),
    ),
  ).toEqual([1, 1]);
  expect(await numbers(grad(() => x.gt(0).cast("f32").mul(x).sum(), x))).toEqual([1, 0]);
  expect(await numbers(grad(() => x.cast("i32").cast("f32").sum(), x))).toEqual([0, 0]);
});

test("any order: the fourth derivative of x^5", async () => {
  const x = tensor(2);
  const derive =
    (fn: () => Tensor): (() => Tensor) =>
    () =>
      grad(fn, x) as Tensor;
  const fn = [0, 1, 2, 3].reduce(
    (f) => derive(f),
    () => x.pow(5),
  );
  expect(await fn().item()).toBeCloseTo(120 * 2, 4);
});

test("a Hessian-vector product, and gradients with respect to an outer variable only", async () => {
  const x = tensor([1, 2]);
  const v = tensor([1, -1]);
  // f = x0^2 x1: H = [[2 x1, 2 x0], [2 x0, 0]]
  const f = () =>
    x
      .slice(0, 0, 1)
      .square()
      .mul(x.slice(0, 1, 2))
      .sum();
  const product = grad(() => grad(f, x).mul(v).sum(), x);
  expect(await numbers(product)).toEqual([4 - 2, 2]);
  const a = tensor(3);
  const outer = grad(() => {
    const b = tensor(2);
    return grad(() => a.mul(b).square(), b);
  }, a);
  // d/da of 2 a^2 b at a = 3, b = 2.
  expect(await outer.item()).toBe(24);
});

describe("an inner gradient step inside an outer gradient (as Titans trains)", () => {
  // Inner: w' = w - eta d/dw (w x - y)^2; outer loss (w' z)^2.
  const [x, y, z, eta] = [1.5, 0.7, 2, 0.1];
  const body = (w: Tensor, rate: Tensor) => {
    const inner = grad(() => w.mul(x).sub(y).square().sum(), w);
    return w.sub(inner.mul(rate)).mul(z).square().sum();
  };
  const expected = (w: number) => {
    const next = w - eta * 2 * x * (w * x - y);
    const slope = 1 - eta * 2 * x * x;
    return { w: 2 * z * z * next * slope, rate: 2 * z * z * next * (-2 * x * (w * x - y)) };
  };

  test("eagerly", async () => {
    const [w, rate] = [tensor(0.9), tensor(eta)];
    const found = grad(() => body(w, rate), { w, rate });
    expect(await found.w.item()).toBeCloseTo(expected(0.9).w, 5);
    expect(await found.rate.item()).toBeCloseTo(expected(0.9).rate, 5);
  });

  test("inside a compiled step, with data that varies", async () => {
    const step = compile<{ w: Tensor; rate: Tensor }, { w: Tensor; rate: Tensor }>(({ w, rate }) => grad(() => body(w, rate), { w, rate }));
    for (const w of [0.9, -1.3, 0.2]) {
      const found = step({ w, rate: eta });
      expect(await found.w.item()).toBeCloseTo(expected(w).w, 4);
      expect(await found.rate.item()).toBeCloseTo(expected(w).rate, 4);
    }
  });
});

test("vjp takes a cotangent for each output; an absent one is zero", async () => {
  const x = tensor([1, 2]);
  const outputs = () => [x.square(), x.exp(), x.sum()] as const;
  const { gradients, value } = vjp(outputs, x, [tensor([10, 1]), undefined, tensor(100)]);
  expect(await numbers(gradients)).toEqual([20 + 100, 4 + 100]);
  expect(value).toHaveLength(3);
});

test("a tape keeps nothing once its call is over", async () => {
  const x = tensor([1, 2, 3]);
  const before = device.memory().buffers;
  const held: number[] = [];
  scope(() => {
    grad(() => {
      const y = x
        .reshape([1, 3])
        .matmul(x.exp().reshape([3, 1]))
        .sum();
      held.push(device.memory().buffers);
      return y;
    }, x);
  });
  expect(Math.max(...held)).toBeGreaterThan(before);
  expect(device.memory().buffers).toBe(before);
});

test("errors: a loss of several elements, no tensor, a promise", () => {
  const x = tensor([1, 2]);
  expect(() => grad(() => x, x)).toThrow(/valueAndGrad: the loss must have one element, got shape \[2\]. Take .mean\(\) or .sum\(\)/);
  expect(() => grad((() => 3) as never, x)).toThrow(/the body must return its loss, a tensor, or a record with one named loss/);
  expect(() => grad((async () => x.sum()) as never, x)).toThrow(/valueAndGrad: the body returned a promise/);
});
