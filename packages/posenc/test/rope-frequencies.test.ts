import { describe, expect, test } from "vitest";
import { type RopeScaling, ropeFrequencies } from "../src/index.ts";

const plain = (dim: number, base: number) => ropeFrequencies(dim, base, { type: "default" }, 0).frequencies;
/** What scaling does to each frequency. */
const ratios = (dim: number, base: number, scaling: RopeScaling, length = 0) => {
  const before = plain(dim, base);
  return [...ropeFrequencies(dim, base, scaling, length).frequencies].map((frequency, i) => frequency / before[i]!);
};
/** The base that gave these frequencies: the second is base^(-2 / dim). */
const baseOf = (dim: number, frequencies: Float64Array) => frequencies[1]! ** (-dim / 2);

test("are base^(-2i / dim) radians a position", () => {
  expect([...plain(8, 10_000)].map((f) => Number(f.toPrecision(12)))).toEqual([1, 0.1, 0.01, 0.001]);
  expect(plain(2, 500_000)).toEqual(Float64Array.of(1));
});

test("linear scaling divides all of them", () => {
  for (const ratio of ratios(32, 10_000, { type: "linear", factor: 8 })) expect(ratio).toBeCloseTo(1 / 8, 12);
});

test("static NTK scaling has the published base, keeps the shortest wavelength and stretches the longest by the factor", () => {
  const { frequencies } = ropeFrequencies(128, 10_000, { type: "ntk", factor: 8 }, 0);
  expect(baseOf(128, frequencies)).toBeCloseTo(82_684.623, 3);
  const change = ratios(128, 10_000, { type: "ntk", factor: 8 });
  expect(change[0]).toBe(1);
  expect(change[63]).toBeCloseTo(1 / 8, 12);
});

describe("dynamic NTK scaling", () => {
  const scaling = { type: "dynamic", factor: 2, originalMaxLength: 2048 } as const;
  test.each([
    [1, 10_000],
    [2048, 10_000],
    [4096, 30_527.737],
    [8192, 72_195.86],
  ])("at length %i has base %d", (length, base) => {
    expect(baseOf(128, ropeFrequencies(128, 10_000, scaling, length).frequencies)).toBeCloseTo(base, 3);
  });
});

test("llama3 keeps short wavelengths, divides long ones and blends between, as published", () => {
  const change = ratios(128, 500_000, { type: "llama3", factor: 8, lowFactor: 1, highFactor: 4, originalMaxLength: 8192 });
  expect(change.slice(0, 29)).toEqual(Array(29).fill(1));
  const blended = [0.828168, 0.643743, 0.493507, 0.371122, 0.271425, 0.190211];
  for (const [i, ratio] of blended.entries()) expect(change[29 + i]).toBeCloseTo(ratio, 6);
  for (const ratio of change.slice(35)) expect(ratio).toBeCloseTo(1 / 8, 12);
});

describe("yarn", () => {
  const scaling = (factor: number, originalMaxLength: number) => ({ type: "yarn", factor, originalMaxLength }) as const;

  test.each([
    [128, 10_000, 4096, 20, 46],
    [64, 10_000, 4096, 10, 23],
    [128, 1_000_000, 32_768, 23, 40],
  ])("of %i dimensions, base %i, length %i ramps from pair %i to pair %i", (dim, base, length, low, high) => {
    const factor = 4;
    const ramp = ratios(dim, base, scaling(factor, length)).map((ratio) => (1 - ratio) / (1 - 1 / factor));
    for (const [i, value] of ramp.entries()) expect(value).toBeCloseTo(Math.min(1, Math.max(0, (i - low) / (high - low))), 9);
  });

  test("without truncation ramps between fractional pairs", () => {
    const ramp = ratios(128, 10_000, { ...scaling(4, 4096), truncate: false }).map((ratio) => (1 - ratio) / 0.75);
    const pair = (turns: number) => (128 * Math.log(4096 / (turns * 2 * Math.PI))) / (2 * Math.log(10_000));
    const [low, high] = [pair(32), pair(1)];
    for (const i of [21, 30, 45]) expect(ramp[i]).toBeCloseTo((i - low) / (high - low), 9);
    expect(ramp[21]).not.toBeCloseTo(1 / 26, 3);
  });

  test.each([
    [4, 1.13863],
    [8, 1.20794],
    [16, 1.27726],
    [40, 1.36889],
  ])("by %i multiplies cos and sin by %d", (factor, attention) => {
    expect(ropeFrequencies(64, 10_000, scaling(factor, 4096), 0).attentionFactor).toBeCloseTo(attention, 5);
  });

  test("takes a published attention factor, or a ratio of temperatures, as DeepSeek has it", () => {
    const factorOf = (more: object) => ropeFrequencies(64, 10_000, { ...scaling(40, 4096), ...more }, 0).attentionFactor;
    expect(factorOf({ attentionFactor: 0.7 })).toBe(0.7);
    expect(factorOf({ mscale: 0.8, mscaleAllDim: 0.8 })).toBe(1);
    expect(factorOf({ mscale: 1, mscaleAllDim: 0.5 })).toBeCloseTo((0.1 * Math.log(40) + 1) / (0.05 * Math.log(40) + 1), 12);
    expect(factorOf({ mscale: 1 })).toBeCloseTo(1.36889, 5);
    expect(factorOf({ factor: 1 })).toBe(1);
  });

  test("where the ramp has no width it is a step, not a division by zero", () => {
    const { frequencies } = ropeFrequencies(4, 10_000, { ...scaling(4, 8), betaFast: 2, betaSlow: 1 }, 0);
    expect(frequencies.every(Number.isFinite)).toBe(true);
  });

  test("every other scaling leaves cos and sin alone", () => {
    for (const other of [
      { type: "default" },
      { type: "linear", factor: 4 },
      { type: "ntk", factor: 4 },
      { type: "dynamic", factor: 4, originalMaxLength: 8 },
      { type: "llama3", factor: 4, lowFactor: 1, highFactor: 4, originalMaxLength: 8 },
    ] as const)
      expect(ropeFrequencies(8, 10_000, other, 100).attentionFactor).toBe(1);
  });
});

test("what cannot be is refused by name", () => {
  const make =
    (scaling: object, dim = 8, base = 10_000) =>
    () =>
      ropeFrequencies(dim, base, scaling as RopeScaling, 0);
  for (const dim of [7, 0, -2, 2.5, Number.NaN])
    expect(make({ type: "default" }, dim)).toThrow(`must be even in number and at least 2, got ${dim}.`);
  for (const base of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    expect(make({ type: "default" }, 8, base)).toThrow(`rope: base must be a finite number above 0, got ${base}.`);
  expect(make({ type: "linear" })).toThrow("rope scaling linear: factor is missing. Pass { factor }");
  expect(make({ type: "linear", factor: 0 })).toThrow("rope scaling linear: factor must be a finite number above 0, got 0.");
  expect(make({ type: "dynamic", factor: 2, originalMaxLength: 0.5 })).toThrow(
    "rope scaling dynamic: originalMaxLength must be a positive integer",
  );
  expect(make({ type: "yarn", factor: 2 })).toThrow("rope scaling yarn: originalMaxLength is missing");
  expect(make({ type: "yarn", factor: 2, originalMaxLength: 8, betaFast: 1, betaSlow: 1 })).toThrow("betaSlow 1 must be below betaFast 1");
  expect(make({ type: "llama3", factor: 2, originalMaxLength: 8, lowFactor: 4, highFactor: 1 })).toThrow(
    "lowFactor 4 must be below highFactor 1",
  );
  expect(make({ type: "spiral" })).toThrow(
    'rope: scaling.type must be one of default, linear, ntk, dynamic, llama3, yarn, longrope, got "spiral"',
  );
});
