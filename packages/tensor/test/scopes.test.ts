import { beforeEach, describe, expect, test } from "vitest";
import {
  compile,
  type Device,
  grad,
  openScope,
  Parameter,
  reference,
  scope,
  setDefaultDevice,
  type Tensor,
  tensor,
  valueAndGrad,
} from "../src/index.ts";

let device: Device;
beforeEach(() => {
  device = reference();
  setDefaultDevice(device);
});
const live = () => device.memory().buffers;

test("what a scope made goes with it, what it returns stays", async () => {
  const x = tensor([1, 2, 3]);
  const before = live();
  const kept = scope(() => {
    const a = x.exp().copy();
    const b = a.add(1).copy();
    return { sum: b.sum(), list: [a.sum()] };
  });
  expect(live()).toBe(before + 2);
  expect(await kept.sum.item()).toBeCloseTo((await kept.list[0]!.item()) + 3, 4);
  kept.sum.dispose();
  kept.list[0]!.dispose();
  expect(live()).toBe(before);
});

test("a pending result keeps what it reads, not its neighbours", async () => {
  const before = live();
  const y = scope(() => {
    tensor([9, 9]).copy();
    return tensor([1, 2]).mul(2);
  });
  expect(live()).toBe(before + 1);
  expect(await y.array()).toEqual([2, 4]);
});

test("scopes nest: an inner result belongs to the outer scope", () => {
  const before = live();
  const escaped: Tensor[] = [];
  scope(() => {
    escaped.push(scope(() => tensor([1]).copy()));
    expect(live()).toBe(before + 1);
  });
  expect(live()).toBe(before);
  expect(() => escaped[0]!.sum()).toThrow(/used after it was freed/);
});

test("a body that throws frees what it made", () => {
  const before = live();
  expect(() =>
    scope(() => {
      tensor([1]).copy();
      throw new Error("out");
    }),
  ).toThrow("out");
  expect(live()).toBe(before);
});

test("a promise is refused, and frees what was made", () => {
  const before = live();
  expect(() => scope(async () => tensor([1]))).toThrow(/scope: the body returned a promise, but it must be synchronous/);
  expect(live()).toBe(before);
});

test("openScope with a kept tensor", () => {
  const before = live();
  let kept: Tensor;
  {
    using s = openScope();
    tensor([1]).copy();
    kept = s.keep(tensor([2]).copy());
  }
  expect(live()).toBe(before + 1);
  kept.dispose();
  expect(live()).toBe(before);
});

test("what a gradient saved survives an inner scope", async () => {
  const x = tensor([1, 2]);
  const g = grad(() => scope(() => x.copy().exp().copy().square().sum()), x);
  expect((await g.array()) as number[]).toEqual([expect.closeTo(2 * Math.E ** 2, 3), expect.closeTo(2 * Math.E ** 4, 2)]);
});

test("using a freed tensor names both places under device.debug", () => {
  device.debug = true;
  const x = tensor([1, 2]);
  x.dispose();
  expect(() => x.sum()).toThrow(/tensor f32\[2\]: used after it was freed at .*scopes\.test\.ts:\d+/);
  x.dispose();
});

test("the leak report names lines under device.debug", () => {
  device.debug = true;
  const before = device.pool.leaks().length;
  const leaked = tensor(new Float32Array(1000));
  const report = device.pool.leaks();
  expect(report).toHaveLength(before + 1);
  expect(report[0]).toMatchObject({ buffers: 1, bytes: 4096 });
  expect(report[0]!.place).toMatch(/scopes\.test\.ts:\d+/);
  leaked.dispose();
  expect(device.pool.leaks()).toHaveLength(before);
});

describe("memory is constant over 1,000 steps", () => {
  const step = (w: Parameter, x: Tensor) => {
    const { value, gradients } = valueAndGrad(() => x.matmul(w.value).tanh().square().mean(), w);
    w.set(w.value.sub(gradients.mul(0.1)));
    return value;
  };

  test("eager", () => {
    const w = new Parameter({ shape: [3, 2], data: [1, 2, 3, 4, 5, 6] });
    const x = tensor([[1, 2, 3]]);
    scope(() => void step(w, x));
    const before = device.memory();
    for (let i = 0; i < 1000; i++) scope(() => void step(w, x));
    expect(device.memory()).toEqual(before);
  });

  test("compiled", () => {
    const w = new Parameter({ shape: [3, 2], data: [1, 2, 3, 4, 5, 6] });
    const run = compile<{ x: Tensor }, Tensor>(({ x }) => step(w, x));
    const x = tensor([[1, 2, 3]]);
    for (let i = 0; i < 3; i++) scope(() => void run({ x }));
    const before = device.memory();
    const launches = device.figures.launches;
    scope(() => void run({ x }));
    const perStep = device.figures.launches - launches;
    for (let i = 0; i < 1000; i++) scope(() => void run({ x }));
    expect(device.memory()).toEqual(before);
    expect(device.figures.launches - launches).toBe(1001 * perStep);
    run.release();
  });
});

test("pooled memory is used again, and clear gives it to the driver", () => {
  scope(() => void tensor(new Float32Array(500)));
  const { allocations, pooled } = device.memory();
  expect(pooled).toBeGreaterThan(0);
  scope(() => void tensor(new Float32Array(500)));
  expect(device.memory().allocations).toBe(allocations);
  device.pool.clear();
  expect(device.memory().pooled).toBe(0);
});
