import { grad, type Kernel, reference, type Shape, setDefaultDevice, sizeOf, type Tensor, tensor, tensorInterface } from "@x/tensor";
import { Stream } from "@x/testing";
import { beforeAll, expect, test } from "vitest";
import { type Activation, gelu, geluTanh, linear, relu, silu } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const draw = (name: string, shape: Shape): Tensor => tensor(new Stream(name).normal(sizeOf(shape)), { shape, dtype: "f64" });
const inputs = () => ({
  x: draw("x", [2, 3, 4]),
  weight: draw("weight", [5, 4]),
  bias: draw("bias", [5]),
  residual: draw("residual", [2, 3, 5]),
});
const list = async (x: Tensor) => [...(await x.data())];

const plain: Readonly<Record<Activation, (x: Tensor) => Tensor>> = {
  none: (x) => x,
  relu: (x) => relu({ x }),
  gelu: (x) => gelu({ x }),
  geluTanh: (x) => geluTanh({ x }),
  silu: (x) => silu({ x }),
};

test.each(Object.keys(plain) as Activation[])(
  "with %s: the product, then the bias, then the activation, then the residual",
  async (activation) => {
    const { x, weight, bias, residual } = inputs();
    const expected = plain[activation](x.reshape([6, 4]).matmul(weight.transpose()).reshape([2, 3, 5]).add(bias)).add(residual);
    expect(await list(linear({ x, weight, bias, residual }, { activation }))).toEqual(await list(expected));
  },
);

test("the weight is [outputs, inputs]", async () => {
  const y = linear({
    x: tensor([1, 10]),
    weight: tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ]),
  });
  expect(await y.array()).toEqual([21, 43, 65]);
});

test("only the gradients that are wanted are computed", () => {
  const device = reference();
  const [x, weight] = [tensor([[1, 2]], { device }), tensor([[3, 4]], { device })];
  const launches = (wrt: Tensor[]) => {
    const before = device.figures.launches;
    grad(() => linear({ x, weight }).sum(), wrt);
    return device.figures.launches - before;
  };
  expect(launches([weight])).toBeLessThan(launches([x, weight]));
});

test("a gradient keeps the pre-activation only where there is an activation", () => {
  const wanted: boolean[] = [];
  const kernel: Kernel = {
    name: "watching",
    contract: linear.contract,
    driver: "reference",
    interface: tensorInterface,
    plan: ({ wants }) => {
      wanted.push(wants("pre"));
      return { launches: [] };
    },
  };
  const device = reference({ kernels: [kernel] });
  const [x, weight] = [tensor([[1, 2]], { device }), tensor([[3, 4]], { device })];
  for (const activation of ["none", "relu"] as const) grad(() => linear({ x, weight }, { activation }).sum(), weight);
  linear({ x, weight }, { activation: "relu" });
  expect(wanted).toEqual([false, true, false]);
});
