import { reference, setDefaultDevice, tensor } from "@x/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { compareArrays } from "../src/index.ts";
import { tensorMatchers } from "../src/vitest.ts";

beforeAll(() => {
  setDefaultDevice(reference());
  expect.extend(tensorMatchers);
});

describe("compareArrays", () => {
  test("names the worst element in units of what is allowed, not the largest error", () => {
    const expected = [1000, 1, 0, 2, 3, 4];
    const made = [1000.5, 1.01, 0, 2, 3, 4];
    const { pass, failures, worst, maxAbs, report } = compareArrays(made, expected, { atol: 0, rtol: 1e-3, shape: [2, 3] });
    expect({ pass, failures, index: worst?.index }).toEqual({ pass: false, failures: 1, index: [0, 1] });
    expect(maxAbs).toBe(0.5);
    expect(report()).toContain("worst at [0, 1]: got 1.01, expected 1");
    expect(report()).toContain("median");
  });

  test("NaN and infinities agree with themselves alone", () => {
    const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const options = { atol: 1e9, rtol: 1e9 };
    expect(compareArrays(special, special, options).pass).toBe(true);
    expect(compareArrays([1], [Number.NaN], options).pass).toBe(false);
    expect(compareArrays([Number.NaN], [1], options).pass).toBe(false);
    expect(compareArrays([1e300], [Number.POSITIVE_INFINITY], options).pass).toBe(false);
    expect(compareArrays([Number.NEGATIVE_INFINITY], [Number.POSITIVE_INFINITY], options).pass).toBe(false);
  });

  test("lengths must agree, masks leave elements out, and zero tolerance means equal", () => {
    expect(compareArrays([1], [1, 2], { atol: 9, rtol: 9 }).report()).toContain("1 elements, expected 2");
    expect(compareArrays([1, 5], [1, 2], { atol: 0, rtol: 0, where: (i) => i === 0 }).pass).toBe(true);
    expect(compareArrays([1, 2 + 1e-12], [1, 2], { atol: 0, rtol: 0 }).pass).toBe(false);
    expect(compareArrays([], [], { atol: 0, rtol: 0 }).pass).toBe(true);
  });
});

describe("toBeCloseToTensor", () => {
  test("passes for close tensors and nested arrays", async () => {
    await expect(
      tensor([
        [1, 2],
        [3, 4],
      ]),
    ).toBeCloseToTensor([
      [1, 2 + 1e-7],
      [3, 4],
    ]);
    await expect(tensor(3)).toBeCloseToTensor(3);
    await expect(tensor([1, 2])).not.toBeCloseToTensor([1, 3]);
  });

  test("fails with the place, or with the shapes", async () => {
    await expect(expect(tensor([[1, 2]])).toBeCloseToTensor([[1, 3]])).rejects.toThrow(/worst at \[0, 1\]: got 2, expected 3/);
    await expect(expect(tensor([[1, 2]])).toBeCloseToTensor([1, 2])).rejects.toThrow(/received shape \[1, 2\], expected \[2\]/);
    await expect(expect(tensor([1])).toBeCloseToTensor([[1], [2, 3]])).rejects.toThrow(/ragged/);
  });
});
