import { dequantize, type Quantization, quantize } from "@x/ops";
import { Stream } from "@x/testing";
import { describe, expect, test } from "vitest";

const kinds = ([4, 8] as const).flatMap((bits) => ([32, 64, 128] as const).map((group): Quantization => ({ bits, group })));
const extents = { outputs: 5, inputs: 300 };
const normal = (name: string, mean = 0) => new Stream(name).normal(extents.outputs * extents.inputs).map((v) => mean + v);

describe.each(kinds)("$bits bits by $group", (how) => {
  test.each([
    ["about 0", 0],
    ["above 0 alone", 9],
    ["below 0 alone", -9],
  ])("no number %s is off by more than half a step, of scales in f32 and f16", (name, mean) => {
    const values = Array.from(normal(name, mean));
    for (const scales of ["f32", "f16"] as const) {
      const coded = quantize(values, extents, { ...how, scales });
      const found = dequantize(coded, extents, how);
      const groups = Math.ceil(extents.inputs / how.group);
      for (const [i, value] of values.entries()) {
        const step = coded.scales[Math.floor(i / extents.inputs) * groups + Math.floor((i % extents.inputs) / how.group)]!;
        expect(Math.abs(found[i]! - value)).toBeLessThanOrEqual((step / 2) * (1 + 1e-5));
      }
    }
  });

  test("steps are as short as they can be, and 0 stays 0", () => {
    const values = Array.from(normal("shortest")).map((v, i) => (i % 7 === 0 ? 0 : v));
    const { scales, ...codes } = quantize(values, extents, how);
    const first = values.slice(0, how.group);
    expect(scales[0]! * (2 ** how.bits - 1)).toBeCloseTo(Math.max(0, ...first) - Math.min(0, ...first), 5);
    const found = dequantize({ scales, ...codes }, extents, how);
    expect(values.every((value, i) => value !== 0 || found[i] === 0)).toBe(true);
  });

  test("what fits a grid comes back as it was: codes are written and read in one order", () => {
    const top = 2 ** how.bits - 1;
    const values = Float32Array.from({ length: 2 * how.group }, (_, i) => ((i * 7 + 3) % (top + 1)) - 5);
    for (const end of [0, how.group]) [values[end], values[end + 1]] = [-5, top - 5];
    const coded = quantize(values, { outputs: 1, inputs: 2 * how.group }, how);
    expect(coded.scales).toEqual(Float32Array.of(1, 1));
    expect(coded.zeros).toEqual(Uint8Array.of(5, 5));
    expect(dequantize(coded, { outputs: 1, inputs: 2 * how.group }, how)).toEqual(values);
  });
});

test("zeros alone are zeros, and what fills up the last group stands for 0", () => {
  const coded = quantize(new Float32Array(3), { outputs: 1, inputs: 3 }, { bits: 4, group: 32 });
  expect(dequantize(coded, { outputs: 1, inputs: 32 }, { bits: 4, group: 32 })).toEqual(new Float32Array(32));
  const one = quantize([-1, 2], { outputs: 1, inputs: 2 }, { bits: 4, group: 32 });
  expect([...one.weight]).toEqual([0xf0, ...Array(15).fill(0x55)]);
});

test("4 bits hold the first of two numbers in the low half of a byte", () => {
  const { weight, zeros } = quantize([0, 15, 1, 2], { outputs: 1, inputs: 4 }, { bits: 4, group: 32 });
  expect([...weight.slice(0, 2), zeros[0]]).toEqual([0xf0, 0x21, 0]);
});
