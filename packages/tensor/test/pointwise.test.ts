import { beforeEach, describe, expect, test } from "vitest";
import { linearize } from "../src/fuse.ts";
import { arange, type Device, full, grad, reference, scope, setDefaultDevice, type Tensor, tensor, zeros } from "../src/index.ts";
import { chainLimits } from "../src/pointwise.ts";

let device: Device;
beforeEach(() => {
  device = reference();
  setDefaultDevice(device);
});
/** Launches that `fn` makes, its result computed included. */
const launches = (fn: () => Tensor) => {
  const before = device.figures.launches;
  scope(() => void fn().copy());
  // The copy at the end is one more.
  return device.figures.launches - before - 1;
};
const chain = (x: Tensor, n: number) => Array.from({ length: n }).reduce<Tensor>((y) => y.neg(), x);

describe("what is stored, and when", () => {
  test("nothing runs until something that is not elementwise needs it", () => {
    const x = tensor([1, 2]);
    const before = device.figures.launches;
    const y = x.mul(2).add(x).exp();
    expect(device.figures.launches).toBe(before);
    y.sum();
    expect(device.figures.launches).toBe(before + 2);
    // Stored once: the next reader finds it.
    y.sum();
    expect(device.figures.launches).toBe(before + 3);
  });

  test("a chain is one launch up to its limits, of instructions or of leaves", () => {
    const x = tensor([1, 2]);
    expect(launches(() => chain(x, chainLimits.instructions))).toBe(1);
    expect(launches(() => chain(x, chainLimits.instructions + 1))).toBe(2);
    const leaves = Array.from({ length: chainLimits.leaves + 1 }, (_, i) => tensor([i, i]));
    const sum = (count: number) => leaves.slice(0, count).reduce((a, b) => a.add(b));
    expect(launches(() => sum(chainLimits.leaves))).toBe(1);
    expect(launches(() => sum(chainLimits.leaves + 1))).toBe(2);
  });

  test("a shared part of a chain stands in the program once", () => {
    const x = tensor([1, 2]);
    const shared = x.exp();
    const { program } = linearize(shared.mul(shared).add(shared).inner);
    expect(program.instructions.map(({ op }) => op)).toEqual(["leaf", "exp", "mul", "add"]);
    expect(program.leaves).toEqual(["f32"]);
  });

  test("a small operand is stored before it is repeated, a scalar is not", () => {
    const [row, matrix] = [
      tensor([1, 2]),
      tensor([
        [1, 2],
        [3, 4],
      ]),
    ];
    expect(launches(() => matrix.add(row.exp()))).toBe(2);
    expect(launches(() => matrix.add(tensor(2).exp()))).toBe(1);
    expect(launches(() => matrix.add(3).mul(full([2], 2)))).toBe(1);
  });

  test("narrow floats round where they are cast", async () => {
    const x = tensor([1 + 2 ** -10]);
    expect(await x.cast("bf16").cast("f32").array()).toEqual([1]);
    expect(launches(() => x.cast("f16").cast("f32"))).toBe(2);
  });

  test("constants are never stored by themselves", () => {
    const before = device.memory().buffers;
    zeros([1000]);
    expect(device.memory().buffers).toBe(before);
  });
});

test("fused equals stored at each step, bit for bit", async () => {
  const x = tensor(Array.from({ length: 50 }, (_, i) => Math.sin(i) * 3));
  const steps: ((t: Tensor) => Tensor)[] = [
    (t) => t.mul(1.1),
    (t) => t.add(x),
    (t) => t.tanh(),
    (t) => t.div(0.3),
    (t) => t.exp(),
    (t) => t.sub(x),
  ];
  const fused = steps.reduce((t, step) => step(t), x);
  const stored = steps.reduce((t, step) => step(t).copy(), x);
  expect(await fused.data()).toEqual(await stored.data());
});

test("positions keep their meaning under reshape, slice and broadcast", async () => {
  expect(await arange(6).reshape([2, 3]).array()).toEqual([
    [0, 1, 2],
    [3, 4, 5],
  ]);
  expect(await arange(6).slice(0, 2, 6, 2).add(1).array()).toEqual([3, 5]);
  expect(await arange(2).reshape([2, 1]).add(arange(3).mul(10)).array()).toEqual([
    [0, 10, 20],
    [1, 11, 21],
  ]);
  expect(await arange(1).add(arange(3)).array()).toEqual([0, 1, 2]);
  expect(
    await arange(3, { dtype: "f32" })
      .unsqueeze(0)
      .add(tensor([[1], [2]]))
      .array(),
  ).toEqual([
    [1, 2, 3],
    [2, 3, 4],
  ]);
});

test("backward recomputes a chain from its leaves", () => {
  const x = tensor(Array.from({ length: 64 }, (_, i) => i / 64));
  const peak = (fn: (t: Tensor) => Tensor) => {
    let held = 0;
    grad(() => {
      const y = fn(x).sum();
      held = device.memory().buffers;
      return y;
    }, x);
    return held;
  };
  // A chain of four saves no more than one instruction does: the leaf it read.
  expect(peak((t) => t.sin().cos().tanh().square())).toBeLessThanOrEqual(peak((t) => t.sin()) + 1);
});
