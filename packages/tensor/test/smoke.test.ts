import { expect, test } from "vitest";
import { compile, grad, Parameter, reference, scope, setDefaultDevice, tensor, valueAndGrad, withDevice } from "../src/index.ts";

test("eager arithmetic, gradients and second derivatives", async () => {
  await withDevice(reference(), async () => {
    setDefaultDevice(reference());
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(await x.mul(2).add(x.sum(0)).array()).toEqual([
      [6, 10],
      [10, 14],
    ]);
    const { value, gradients } = valueAndGrad(() => x.square().sum(), x);
    expect(await value.item()).toBe(30);
    expect(await gradients.array()).toEqual([
      [2, 4],
      [6, 8],
    ]);
    const second = grad(() => grad(() => x.pow(3).sum(), x).sum(), x);
    expect(await second.array()).toEqual([
      [6, 12],
      [18, 24],
    ]);
    const y = x.matmul(x.transpose());
    expect(await y.array()).toEqual([
      [5, 11],
      [11, 25],
    ]);
  });
});

test("a compiled step updates a cell and equals eager", async () => {
  const device = reference();
  setDefaultDevice(device);
  const make = () => new Parameter({ shape: [3], data: [1, 2, 3] });
  const body =
    (w: Parameter) =>
    ({ lr, x }: { lr: import("../src/index.ts").Tensor; x: import("../src/index.ts").Tensor }) => {
      const { value, gradients } = valueAndGrad(
        () =>
          x
            .matmul(w.value.reshape([3, 1]))
            .square()
            .mean(),
        w,
      );
      w.set(w.value.sub(gradients.mul(lr)));
      return { loss: value };
    };
  const [a, b] = [make(), make()];
  const step = compile<{ lr: number; x: { data: Float32Array; shape: number[] } }, { loss: import("../src/index.ts").Tensor }>(body(a));
  const eager = compile<{ lr: number; x: { data: Float32Array; shape: number[] } }, { loss: import("../src/index.ts").Tensor }>(body(b), {
    eager: true,
  });
  for (let i = 0; i < 12; i++) {
    const args = { lr: 0.01 * i, x: { data: Float32Array.from({ length: 6 }, (_, j) => Math.sin(i + j)), shape: [2, 3] } };
    const [p, q] = [step(args), eager(args)];
    expect(await p.loss.item()).toBe(await q.loss.item());
  }
  expect(await a.data()).toEqual(await b.data());
  const memory = device.memory();
  for (let i = 0; i < 20; i++)
    scope(() => {
      step({ lr: 0.1, x: { data: new Float32Array(6), shape: [2, 3] } });
    });
  expect(device.memory().buffers).toBe(memory.buffers);
});
