import {
  compile,
  currentGenerator,
  type Device,
  DeviceLostError,
  defineOp,
  explain,
  Generator,
  type HostTensor,
  KernelRefusedError,
  OutOfMemoryError,
  one,
  out,
  Parameter,
  State,
  scope,
  setDefaultDevice,
  type Tensor,
  tensor,
  withDevice,
  withGenerator,
} from "@x/tensor";
import { describe, expect, test } from "vitest";
import type { WebgpuDriver } from "../src/device/driver.ts";
import { webgpuKernel } from "../src/index.ts";
import { onAdapter, openAdapter } from "./adapter.ts";

const twice = defineOp({
  name: "test twice",
  inputs: { x: one() },
  outputs: { y: out() },
  infer: ({ x }) => ({ y: x }),
  reference: ({ x }) => ({ y: x.add(x) }),
});
const wrong = webgpuKernel(twice, {
  name: "does not compile",
  plan: (p) => p.run({ code: "fn main( {", groups: 1, reads: { x: p.input("x") }, writes: { y: p.output("y") } }),
});

await onAdapter((device) => {
  const driver = device.driver as WebgpuDriver;
  const on = <R>(body: () => R): R => withDevice(device, body);

  test("what is written is read, also bytes that end in the middle of a word", async () => {
    for (const values of [
      [1, 2, 3],
      [1, 0, 1, 1, 0],
    ])
      expect(await on(() => tensor(values, { dtype: "u8" })).data()).toEqual(Uint8Array.from(values));
  });

  test("a step submits once, creates nothing and launches the same each time", async () => {
    setDefaultDevice(device);
    {
      const w = new Parameter({ shape: [64], data: new Float32Array(64).fill(1) });
      const count = new State({ shape: [], data: new Float32Array([0]) });
      const step = compile(({ x }: { x: Tensor }) => {
        w.set(w.value.mul(0.5).add(x));
        count.set(count.value.add(1));
        return w.value.mul(count.value);
      });
      const x = { data: new Float32Array(64).fill(2), shape: [64] };
      await step({ x }).data();
      await step({ x }).data();
      const before = { ...driver.figures };
      const allocations = device.memory().allocations;
      for (let i = 0; i < 5; i++) await step({ x }).data();
      const after = driver.figures;
      expect(after.submits - before.submits).toBe(5);
      expect(after.pipelines).toBe(before.pipelines);
      expect(after.bytes).toBe(before.bytes);
      expect(device.memory().allocations).toBe(allocations);
      // Halved and 2 added, seven times from 1.
      expect((await w.value.data())[0]).toBeCloseTo(4 - 3 * 0.5 ** 7, 5);
      step.release();
    }
    setDefaultDevice(undefined);
  });

  test("a prepared step has all its pipelines before it runs, none of them made at once; one that runs before they are there has its own", async () => {
    const own = await openAdapter();
    const { gpu } = own.driver as WebgpuDriver;
    const called: string[] = [];
    for (const name of ["createComputePipeline", "createComputePipelineAsync"] as const) {
      const make = gpu[name].bind(gpu) as (descriptor: GPUComputePipelineDescriptor) => never;
      Object.defineProperty(gpu, name, {
        value: (descriptor: GPUComputePipelineDescriptor) => {
          called.push(name);
          return make(descriptor);
        },
      });
    }
    const step = compile(({ x }: { x: Tensor }) => x.matmul(x).sum(0).add(1), { device: own });
    const x = { data: new Float32Array(16).fill(1), shape: [4, 4] };
    await step.prepare({ x });
    expect(new Set(called)).toEqual(new Set(["createComputePipelineAsync"]));
    const { length } = called;
    expect([...(await step({ x }).data())]).toEqual([17, 17, 17, 17]);
    expect(called).toHaveLength(length);
    const early = compile(({ x }: { x: Tensor }) => x.mul(2).max(1), { device: own });
    const prepared = early.prepare({ x });
    expect([...(await early({ x }).data())]).toEqual([2, 2, 2, 2]);
    await prepared;
    own.close();
  });

  test("where small numbers of f16 do not survive the adapter's conversion, it is not used", async () => {
    // SwiftShader refuses it.
    const own = await openAdapter("swiftshader", { caps: { f16: true, matrices: "f16 16x16x16 by 32" } });
    expect((own.driver as WebgpuDriver).caps).toMatchObject({ f16: false, matrices: "" });
    const small = Float32Array.of(2 ** -24, 1);
    expect(await withDevice(own, () => tensor(small, { dtype: "f16" }).mul(2)).data()).toEqual(Float32Array.of(2 ** -23, 2));
    own.close();
  });

  test("a write between launches is seen by those after it only", async () => {
    await on(async () => {
      const cell = new State({ shape: [4], data: new Float32Array([1, 2, 3, 4]) });
      const before = cell.value.mul(10).copy();
      cell.write(new Float32Array([5, 6, 7, 8]));
      const after = cell.value.mul(10).copy();
      expect([...(await before.data())]).toEqual([10, 20, 30, 40]);
      expect([...(await after.data())]).toEqual([50, 60, 70, 80]);
    });
  });

  test("cells share buffers, and a launch may read one and write another", async () => {
    await on(async () => {
      const { buffers } = driver.figures;
      const cells = Array.from({ length: 40 }, (_, i) => new State({ shape: [1000], data: new Float32Array(1000).fill(i) }));
      expect(driver.figures.buffers - buffers).toBeLessThanOrEqual(1);
      scope(() => cells[1]!.set(cells[2]!.value.add(cells[3]!.value)));
      expect((await cells[1]!.value.data())[999]).toBe(5);
      expect((await cells[0]!.value.data())[999]).toBe(0);
      expect((await cells[2]!.value.data())[0]).toBe(2);
    });
  });

  describe("a kernel that the driver refuses", () => {
    test("is named with the compiler's words, and the reference serves from then on", async () => {
      const own = await openAdapter();
      own.use([wrong]);
      const run = () => withDevice(own, () => twice({ x: tensor([1, 2, 3]) }).data());
      await expect(run()).rejects.toThrow(KernelRefusedError);
      await expect(withDevice(own, () => twice({ x: tensor([1, 2]) })).data()).resolves.toEqual(new Float32Array([2, 4]));
      const { server, declined } = explain(own, twice, { x: withDevice(own, () => tensor([1])) });
      expect(server).toBe("the reference");
      expect(declined[0]!.reason).toMatch(/does not compile .*line \d+/s);
      own.close();
    });

    test("is refused ahead in the words in which it is refused when it runs", async () => {
      const words = async (meet: (own: Device) => Promise<unknown>) => {
        const own = await openAdapter("swiftshader", { strict: true });
        own.use([wrong]);
        const error = await meet(own).catch((error: Error) => error);
        own.close();
        return (error as Error).message;
      };
      const x = { data: new Float32Array([1, 2, 3]), shape: [3] };
      const stepOn = (device: Device) => compile(({ x }: { x: Tensor }) => twice({ x }), { device });
      expect(await words((own) => stepOn(own).prepare({ x }))).toBe(await words((own) => stepOn(own)({ x }).data()));
    });

    test("is replaced in a step that still draws from the generator it was prepared with", async () => {
      const own = await openAdapter();
      const draws = (step: (args: { x: HostTensor }) => Tensor, generator: Generator) => withGenerator(generator, () => step({ x })).data();
      const made = () => compile(({ x }: { x: Tensor }) => twice({ x }).mul(currentGenerator("test").uniform([3])), { device: own });
      const x = { data: new Float32Array([1, 2, 3]), shape: [3] };
      const [prepared, plain] = [made(), made()];
      own.use([wrong]);
      const generators = [0, 1].map(() => new Generator({ seed: 7, device: own })) as [Generator, Generator];
      await withGenerator(generators[0], () => prepared.prepare({ x }));
      expect(await draws(prepared, generators[0])).toEqual(await draws(plain, generators[1]));
      own.close();
    });

    test("is replaced before a prepared step runs; a strict device says so instead", async () => {
      for (const strict of [false, true]) {
        const own = await openAdapter("swiftshader", { strict });
        own.use([wrong]);
        const step = compile(({ x }: { x: Tensor }) => twice({ x }), { device: own });
        const x = { data: new Float32Array([1, 2, 3]), shape: [3] };
        if (strict) await expect(step.prepare({ x })).rejects.toThrow(/does not compile/);
        else {
          await step.prepare({ x });
          expect(await step({ x }).data()).toEqual(new Float32Array([2, 4, 6]));
        }
        own.close();
      }
    });
  });

  describe("memory", () => {
    test("beyond the limit that was set is refused with the sizes, and nothing is lost", async () => {
      const own = await openAdapter("swiftshader", { memory: 1 << 21 });
      const make = (n: number) => tensor(new Float32Array(n).fill(3), { device: own });
      const kept = make(1000);
      expect(() => make(1 << 19)).toThrow(OutOfMemoryError);
      expect(() => make(1 << 19)).toThrow(/2097152 bytes more .* limit of 2097152/);
      expect((await kept.data())[999]).toBe(3);
      own.close();
    });

    test("a buffer beyond the adapter's largest is refused before it is asked for", async () => {
      const own = await openAdapter("swiftshader", { defaultLimits: true });
      expect(() => own.driver.allocate(2 ** 28 + 256)).toThrow(/larger than the 268435456 bytes/);
      own.close();
    });

    test("what is given back is destroyed when the pool is cleared", async () => {
      const { bytes } = driver.figures;
      on(() => scope(() => void tensor(new Float32Array(1 << 22))));
      expect(driver.figures.bytes).toBeGreaterThan(bytes);
      device.pool.clear();
      expect(driver.figures.bytes).toBeLessThanOrEqual(bytes);
    });
  });

  test("tensors larger than a binding are read and written through windows", async () => {
    const own = await openAdapter("swiftshader", { caps: { maxStorageBufferBindingSize: 4096 } });
    const values = Float32Array.from({ length: 3000 }, (_, i) => i);
    const x = tensor(values, { device: own });
    expect(await x.mul(2).add(1).data()).toEqual(values.map((v) => 2 * v + 1));
    expect(await x.reshape([30, 100]).transpose().copy().data()).toEqual(
      Float32Array.from({ length: 3000 }, (_, i) => values[(i % 30) * 100 + Math.floor(i / 30)]!),
    );
    const narrow = tensor(
      values.map((v) => v % 200),
      { dtype: "u8", device: own },
    );
    expect(await narrow.cast("f32").data()).toEqual(values.map((v) => v % 200));
    expect(() => tensor(new Float32Array(20_000), { device: own }).add(1).copy()).toThrow(/storage bindings/);
    own.close();
  });

  test("a profile names every launch, and exports a trace", async () => {
    const profile = await device.profile(() => on(() => tensor([1, 2, 3]).add(1).exp()).data());
    const { result, launches, kernels } = profile;
    expect(result.length).toBe(3);
    expect(launches).toHaveLength(1);
    expect(kernels[0]).toMatchObject({ launches: 1 });
    expect(kernels[0]!.kernel).toMatch(/^pointwise add exp/);
    if (driver.caps.timestamps) expect(launches[0]!.duration).toBeGreaterThanOrEqual(0);
    const { traceEvents } = JSON.parse(profile.chromeTrace()) as { traceEvents: { ph: string; name: string }[] };
    expect(traceEvents.map(({ ph }) => ph)).toEqual(driver.caps.timestamps ? ["M", "X"] : ["M"]);
  });

  test("a lost device: an event, an error that says what to do, and a fresh device carries on", async () => {
    const told: DeviceLostError[] = [];
    const own = await openAdapter("swiftshader", { onLost: (error) => told.push(error) });
    const x = withDevice(own, () => tensor([1, 2, 3]));
    (own.driver as WebgpuDriver).gpu.destroy();
    await (own.driver as WebgpuDriver).lost;
    expect(told[0]).toBeInstanceOf(DeviceLostError);
    expect(() => withDevice(own, () => x.add(1).copy())).toThrow(/device was lost .*last checkpoint/s);
    await expect(x.data()).rejects.toThrow(DeviceLostError);
    await expect(own.settled()).rejects.toThrow(DeviceLostError);
    own.close();
    const next = await openAdapter();
    expect(await withDevice(next, () => tensor([1]).add(1)).data()).toEqual(new Float32Array([2]));
    next.close();
  });
});
