import { linear } from "@x/ops";
import { Cell, compile, type Device, type Tensor } from "@x/tensor";
import { afterAll, beforeEach, expect, test } from "vitest";
import { wasm } from "../src/index.ts";
import { expectClose, values } from "./harness.ts";

const devices: Device[] = [];
const open = async (options: Parameters<typeof wasm>[0] = {}): Promise<Device> => {
  const device = await wasm({ threads: 1, ...options });
  devices.push(device);
  return device;
};
let device: Device;
beforeEach(async () => {
  device = await open();
});
afterAll(() => {
  for (const each of devices) each.close();
});

const [rows, inputs, outputs] = [16, 40, 24];
const cell = (shape: number[], seed: number, on = device) => new Cell({ shape, data: values(shape[0]! * shape[1]!, seed), device: on });
const layer = (x: Cell, weight: Cell): Tensor => linear({ x, weight });
const stepOf = (body: () => Tensor, on = device) => compile<Record<string, never>, Tensor>(body, { device: on });

test("a weight that a step reads is packed at the first call and after a write, and at no other", async () => {
  const [x, weight] = [cell([rows, inputs], 1), cell([outputs, inputs], 2)];
  const step = stepOf(() => layer(x, weight));
  const launches = () => {
    const before = device.figures.launches;
    step({});
    return device.figures.launches - before;
  };
  const first = launches();
  expect([launches(), launches()]).toEqual([first - 1, first - 1]);
  weight.write(values(outputs * inputs, 3));
  expect([launches(), launches()]).toEqual([first, first - 1]);
});

test("a kept weight gives the bits of one that is packed at every call, whatever wrote the cell", async () => {
  const [x, weight, other] = [cell([rows, inputs], 1), cell([outputs, inputs], 2), cell([outputs, inputs], 4)];
  const step = stepOf(() => layer(x, weight));
  const scale = compile<Record<string, never>, void>(() => weight.set(weight.value.mul(0.5)), { device });
  const same = async () => expect(await step({}).data()).toEqual(await layer(x, weight).data());
  await same();
  weight.write(values(outputs * inputs, 3));
  await same();
  weight.set(other);
  await same();
  scale({});
  await same();
  const plain = await open({ companionBytes: 0 });
  const [x0, weight0] = [cell([rows, inputs], 1, plain), cell([outputs, inputs], 2, plain)];
  const unkept = await stepOf(() => layer(x0, weight0), plain)({}).data();
  expect(plain.companions.bytes).toBe(0);
  weight.write(values(outputs * inputs, 2));
  expect(await step({}).data()).toEqual(unkept);
});

test("a step that writes the weight packs it at every call", async () => {
  const [x, weight] = [cell([rows, inputs], 1), cell([outputs, inputs], 2)];
  const step = stepOf(() => {
    const y = layer(x, weight);
    weight.set(weight.value.mul(2));
    return y;
  });
  const first = (await step({}).data()).slice();
  expect(device.companions.bytes).toBe(0);
  expect(await step({}).data()).toEqual(first.map((value) => value * 2));
});

test("plans share what they keep; its memory goes back with the last of them", () => {
  const [x, weight] = [cell([rows, inputs], 1), cell([outputs, inputs], 2)];
  const before = device.memory().live;
  const steps = [stepOf(() => layer(x, weight)), stepOf(() => layer(x, weight).mul(2))];
  steps[0]!({});
  const one = device.companions.bytes;
  expect(one).toBeGreaterThanOrEqual(4 * outputs * inputs);
  steps[1]!({});
  expect(device.companions.bytes).toBe(one);
  steps[0]!.release();
  expect(device.companions.bytes).toBe(one);
  steps[1]!.release();
  expect(device.companions.bytes).toBe(0);
  expect(device.memory().live).toBe(before);
});

test("one row reads the panels that many rows made", async () => {
  const [x, one, weight] = [cell([rows, inputs], 1), cell([1, inputs], 1), cell([outputs, inputs], 2)];
  const prompt = stepOf(() => layer(x, weight));
  const next = stepOf(() => layer(one, weight));
  const expected = (await prompt({}).data()).slice(0, outputs);
  const bytes = device.companions.bytes;
  expectClose((await next({}).data()) as Float32Array, expected as Float32Array);
  expect(device.companions.bytes).toBe(bytes);
  weight.write(values(outputs * inputs, 3));
  expectClose((await next({}).data()) as Float32Array, (await layer(one, weight).data()) as Float32Array);
});

test("memory goes back with the cell; a step that would read it says so", () => {
  const [x, weight] = [cell([rows, inputs], 1), cell([outputs, inputs], 2)];
  const step = stepOf(() => layer(x, weight));
  for (let call = 0; call < 3; call++) step({}); // calls 2 and 3 record the body again, and would meet the cell there
  weight.dispose();
  expect(device.companions.bytes).toBe(0);
  expect(() => step({})).toThrow(/a compiled step reads a cell whose memory was given back by dispose\(\)/);
});

test("no more is begun once the device has spent what it may", async () => {
  const limited = await open({ companionBytes: 4 * outputs * inputs });
  const weights = [1, 2, 3].map((seed) => cell([outputs, inputs], seed, limited));
  const x = cell([rows, inputs], 5, limited);
  stepOf(() => weights.map((weight) => layer(x, weight)).reduce((sum, y) => sum.add(y)), limited)({});
  expect(limited.companions.bytes).toBe(weights[0]!.buffer.bytes);
});
