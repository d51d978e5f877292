import { Generator, reference, type Shape, setDefaultDevice, withDevice, withGenerator } from "@x/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import {
  constant,
  Embedding,
  fanInUniform,
  type Init,
  Linear,
  normal,
  onesInit,
  parameter,
  stateDict,
  uniform,
  xavierUniform,
  zerosInit,
} from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

/** Mean, deviation and extremes of a draw. */
async function figures(init: Init, shape: Shape) {
  const values = Float64Array.from(await withGenerator(new Generator({ seed: 5 }), () => parameter(shape, init)).data());
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance), least: Math.min(...values), most: Math.max(...values) };
}

describe("statistics over 40,000 draws", () => {
  // Means have a standard error of deviation / 200; deviations are good to about 1 %.
  test.each<[string, Init, Shape, { mean: number; deviation: number; bound: number }]>([
    ["normal(0.02)", normal(0.02), [200, 200], { mean: 0, deviation: 0.02, bound: 0.12 }],
    ["normal(2, 3)", normal(2, 3), [200, 200], { mean: 3, deviation: 2, bound: 15 }],
    ["uniform(-1, 3)", uniform(-1, 3), [40000], { mean: 1, deviation: 4 / Math.sqrt(12), bound: 3 }],
    ["fanInUniform", fanInUniform, [400, 100], { mean: 0, deviation: 0.1 / Math.sqrt(3), bound: 0.1 }],
    [
      "fanInUniform of a convolution",
      fanInUniform,
      [40, 10, 10, 10],
      { mean: 0, deviation: 1 / Math.sqrt(3000), bound: 1 / Math.sqrt(1000) },
    ],
    ["xavierUniform()", xavierUniform(), [400, 100], { mean: 0, deviation: Math.sqrt(2 / 500), bound: Math.sqrt(6 / 500) }],
    [
      "xavierUniform(0.5) of a convolution",
      xavierUniform(0.5),
      [40, 10, 10, 10],
      { mean: 0, deviation: 0.5 * Math.sqrt(2 / 5000), bound: 0.5 * Math.sqrt(6 / 5000) },
    ],
  ])("%s", async (_, init, shape, { mean, deviation, bound }) => {
    const drawn = await figures(init, shape);
    expect(Math.abs(drawn.mean - mean)).toBeLessThan(deviation / 40);
    expect(Math.abs(drawn.deviation / deviation - 1)).toBeLessThan(0.02);
    expect(drawn.most).toBeLessThanOrEqual(bound);
    expect(drawn.least).toBeGreaterThanOrEqual(2 * mean - bound);
  });

  test("constants", async () => {
    expect(await figures(constant(4), [3])).toEqual({ mean: 4, deviation: 0, least: 4, most: 4 });
    expect((await figures(zerosInit, [3])).most).toBe(0);
    expect((await figures(onesInit, [3])).least).toBe(1);
  });
});

describe("the same numbers", () => {
  const build = () => new Linear({ inputDim: 5, outputDim: 4 });
  const weights = async (make: () => Linear) => {
    const state = await stateDict(make());
    return [...state.values()].map(({ values }) => [...values]);
  };

  test("for the same seed of a device, and others for another seed or a further layer", async () => {
    const on = (seed: number) => withDevice(reference({ seed }), () => ({ first: build(), second: build() }));
    const [a, b, c] = [on(1), on(1), on(2)];
    expect(await weights(() => a.first)).toEqual(await weights(() => b.first));
    expect(await weights(() => a.second)).toEqual(await weights(() => b.second));
    expect(await weights(() => a.first)).not.toEqual(await weights(() => a.second));
    expect(await weights(() => a.first)).not.toEqual(await weights(() => c.first));
  });

  test("from a generator that is handed in, whatever was drawn before, and on whatever device the parameter stands", async () => {
    build();
    const seeded = () => withGenerator(new Generator({ seed: 9 }), build);
    const once = await weights(seeded);
    expect(await weights(seeded)).toEqual(once);
    const elsewhere = reference({ seed: 77 });
    const there = withGenerator(new Generator({ seed: 9 }), () => parameter([4, 5], fanInUniform, { device: elsewhere }));
    expect(there.device).toBe(elsewhere);
    expect([...(await there.data())]).toEqual(once[0]);
  });

  test("whether or not the device's own stream was used in steps", async () => {
    const device = reference({ seed: 4 });
    const before = await weights(() => withDevice(reference({ seed: 4 }), build));
    device.generator.step(() => device.generator.uniform([100]));
    expect(await weights(() => withDevice(device, build))).toEqual(before);
  });

  test("of published defaults: linear layers uniform on 1 / sqrt(inputDim), embeddings standard normal", async () => {
    const linear = await stateDict(new Linear({ inputDim: 100, outputDim: 300 }));
    for (const { values } of linear.values()) {
      const most = Math.max(...[...values].map(Math.abs));
      expect(most).toBeLessThanOrEqual(Math.fround(0.1));
      expect(most).toBeGreaterThan(0.098);
    }
    const table = [...(await new Embedding({ vocabSize: 100, dim: 100 }).weight.data())];
    expect(Math.abs(table.reduce((sum, x) => sum + x * x, 0) / 1e4 - 1)).toBeLessThan(0.05);
  });
});
