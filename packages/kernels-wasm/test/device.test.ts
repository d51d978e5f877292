import { adamw, attention, crossEntropy, layerNorm, linear, softmax } from "@x/ops";
import {
  type Device,
  defineOp,
  explain,
  grad,
  one,
  out,
  Parameter,
  reference,
  State,
  scope,
  setDefaultDevice,
  type Tensor,
  tensor,
  valueAndGrad,
  withDevice,
} from "@x/tensor";
import { afterAll, describe, expect, test, vi } from "vitest";
import { compileProgram } from "../src/emit/index.ts";
import { Threads, wasm, wasmKernel } from "../src/index.ts";
import { values } from "./harness.ts";

const single = await wasm({ threads: 1 });
const double = await wasm({ threads: 2 });
afterAll(() => {
  single.close();
  double.close();
});

const draw = (shape: readonly number[], seed: number): Tensor =>
  tensor(
    values(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
    { shape },
  );
const read = (device: Device, build: () => Tensor) => withDevice(device, () => scope(build)).data();

/** Work large enough to be cut into many ranges. */
const large: Record<string, () => Tensor> = {
  product: () => draw([300, 257], 1).matmul(draw([257, 190], 2)),
  "product of many matrices": () => draw([9, 70, 33], 1).matmul(draw([9, 33, 41], 2)),
  "long sum": () => draw([300_001], 3).sum(),
  "sum of columns": () => draw([5000, 37], 3).sum(0),
  "chain of elementwise operations": () =>
    draw([100_003], 4)
      .mul(2)
      .tanh()
      .add(draw([100_003], 5).exp()),
  softmax: () => softmax({ x: draw([500, 301], 6) }),
};
large["gradient of a norm"] = () => {
  const weight = draw([130], 8);
  return grad(
    () =>
      layerNorm({ x: draw([700, 130], 7), weight })
        .square()
        .sum(),
    weight,
  );
};
large["gradient of attention"] = () => {
  const q = draw([2, 4, 130, 24], 9);
  return grad(() => attention({ q, k: q, v: q }, { scale: 0.2, causal: true }).square().sum(), q);
};
large["rows added by index"] = () =>
  draw([4000, 90], 10).putAdd(
    tensor(
      Int32Array.from({ length: 4000 }, (_, i) => (i * 37) % 50),
      { dtype: "i32" },
    ),
    0,
    50,
  );

describe("bits", () => {
  for (const [name, build] of Object.entries(large))
    test(`${name}: the same on one thread and on two`, async () => {
      const [a, b] = [await read(single, build), await read(double, build)];
      expect(new Uint8Array(b.buffer, b.byteOffset, b.byteLength)).toEqual(new Uint8Array(a.buffer, a.byteOffset, a.byteLength));
    });
});

test("a number that changes from call to call compiles nothing after a while", async () => {
  const device = await wasm({ threads: 1 });
  const x = values(37, 2);
  const made: Float32Array[] = [];
  const register = vi.spyOn(Threads.prototype, "register");
  for (let i = 0; i < 12; i++)
    made.push(
      (await read(device, () =>
        tensor(x)
          .mul(0.1 * i)
          .lt(0.05 * i)
          .cast("f32")
          .sub(i),
      )) as Float32Array,
    );
  expect(register.mock.calls.length).toBe(5);
  register.mockRestore();
  for (const [i, y] of made.entries()) {
    const factor = Math.fround(0.1 * i);
    const limit = Math.fround(0.05 * i);
    expect(y).toEqual(x.map((value) => (Math.fround(value * factor) < limit ? 1 : 0) - i));
  }
  device.close();
});

test("memory is constant over training steps", async () => {
  setDefaultDevice(double);
  const weight = new Parameter({ shape: [10, 16], data: values(160, 1) });
  const [m, v] = [new State({ shape: [10, 16] }), new State({ shape: [10, 16] })];
  const step = (t: number) =>
    scope(() => {
      const [x, targets] = [
        draw([32, 16], t),
        tensor(
          Int32Array.from({ length: 32 }, (_, i) => i % 10),
          { dtype: "i32" },
        ),
      ];
      const { gradients } = valueAndGrad(() => crossEntropy({ logits: linear({ x, weight }), targets }).mean(), weight);
      const next = adamw({ param: weight, grad: gradients, m, v, lr: 0.01, step: t });
      for (const [cell, value] of [
        [weight, next.param],
        [m, next.m],
        [v, next.v],
      ] as const)
        cell.set(value);
    });
  step(1);
  step(2);
  const before = double.memory();
  for (let t = 3; t < 30; t++) step(t);
  const after = double.memory();
  expect(after.live).toBe(before.live);
  expect(after.buffers).toBe(before.buffers);
  expect(after.allocations).toBe(before.allocations);
});

describe("second-order gradients agree with the reference", () => {
  const oracle = reference();
  const functions: Record<string, (x: Tensor) => Tensor> = {
    softmax: (x) => softmax({ x }).square().sum(),
    "layer norm": (x) => layerNorm({ x }).pow(3).sum(),
    product: (x) => x.matmul(x.transpose()).tanh().sum(),
    attention: (x) =>
      attention({ q: x.reshape([1, 2, 3, 4]), k: x.reshape([1, 2, 3, 4]), v: x.reshape([1, 2, 3, 4]) }, { scale: 0.5 })
        .square()
        .sum(),
    "running product": (x) => x.cumprod(-1).square().sum(),
  };
  for (const [name, fn] of Object.entries(functions))
    test(name, async () => {
      const second = () => {
        const x = draw([6, 4], 3);
        return grad(
          () =>
            grad(() => fn(x), x)
              .square()
              .sum(),
          x,
        );
      };
      const [made, expected] = [await read(double, second), await read(oracle, second)];
      const scale = Math.max(...Array.from(expected, Math.abs));
      for (const [i, value] of expected.entries()) expect(Math.abs(made[i]! - value)).toBeLessThan(2e-4 * scale);
    });
});

describe("kernels of others", () => {
  const twice = defineOp({
    name: "test/twice",
    inputs: { x: one() },
    outputs: { y: out() },
    infer: ({ x }) => ({ y: x }),
    reference: ({ x }) => ({ y: x.mul(2) }),
  });
  const program = {
    leaves: ["f32"] as const,
    instructions: [
      { op: "leaf", leaf: 0, type: "f32" },
      { op: "literal", value: 2, type: "f32" },
      { op: "mul", args: [0, 1], type: "f32" },
    ] as const,
    outputs: [{ register: 2, dtype: "f32" }] as const,
  };
  const { bytes: module } = compileProgram(program, { access: ["contiguous"], rank: 1, shared: true });
  const kernel = wasmKernel(twice, {
    name: "test doubling",
    accepts: ({ specs: { x } }) => x.dtype === "f32" || "takes f32",
    plan(p, { specs: { x } }) {
      const units = x.shape.reduce((a, b) => a * b, 1);
      // The module's words: addresses of leaf and output, the extent, the stride in bytes.
      p.push({ module, export: "run", words: [p.input("x"), p.target("y"), units, 4], units, grain: 64 });
    },
  });

  for (const threads of [1, 2])
    test(`bring a module of their own, ${threads} thread(s)`, async () => {
      const device = await wasm({ threads, kernels: [kernel] });
      const x = values(1000, 1);
      expect(await read(device, () => twice({ x: tensor(x) }))).toEqual(x.map((value) => 2 * value));
      expect(explain(device, twice, { x: withDevice(device, () => tensor(x)) }).server).toBe("test doubling");
      device.close();
    });

  test("a function that the module lacks is named", async () => {
    const bad = wasmKernel(twice, { plan: (p) => p.push({ module, export: "walk", words: [], units: 1, grain: 1 }) });
    const device = await wasm({ threads: 1, kernels: [bad] });
    expect(() => withDevice(device, () => twice({ x: tensor([1, 2]) }))).toThrow(/exports no function "walk"; it has run/);
    device.close();
  });
});

test("what does not fit is an error that says how much there is", async () => {
  const device = await wasm({ threads: 1, maximumBytes: 2 ** 25 });
  const live = device.memory().live;
  expect(() => withDevice(device, () => tensor(new Float32Array(2 ** 24)))).toThrow(
    expect.objectContaining({
      name: "OutOfMemoryError",
      message: expect.stringMatching(/device wasm: out of memory: .*64.0 MiB.*of at most 32.0 MiB/),
    }),
  );
  expect(device.memory().live).toBe(live);
  device.close();
});

test("f64 is refused with the nearest there is", () => {
  expect(() => withDevice(single, () => tensor([1], { dtype: "f64" }))).toThrow(/has no f64; the nearest it has is f32/);
});
