import { tensor } from "@x/tensor";
import { expect, test } from "vitest";
import { clipByGlobalNorm } from "../src/index.ts";
import "./support.ts";

const gradients = () => [tensor([3, 0]), tensor([[4]])];

test("the norm is that of all gradients together; what is above the limit is scaled down to it, what is below stays", async () => {
  const above = clipByGlobalNorm(gradients(), 1);
  expect(await above.norm.item()).toBe(5);
  expect(await above.gradScale.item()).toBeCloseTo(1 / (5 + 1e-6), 7);
  expect(await above.skip.item()).toBe(0);
  expect(await clipByGlobalNorm(gradients(), 6).gradScale.item()).toBe(1);
  expect(await clipByGlobalNorm(gradients(), Number.POSITIVE_INFINITY).gradScale.item()).toBe(1);
});

test("gradients are measured after their scale", async () => {
  const { norm, gradScale } = clipByGlobalNorm(gradients(), 1, { gradScale: tensor(0.1) });
  expect(await norm.item()).toBeCloseTo(0.5, 6);
  expect(await gradScale.item()).toBeCloseTo(0.1, 7);
  expect(await clipByGlobalNorm(gradients(), 1, { gradScale: tensor(-2) }).gradScale.item()).toBeCloseTo(-0.2, 6);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("a gradient with %d asks to skip", async (bad) => {
  expect(await clipByGlobalNorm([tensor([1, bad]), tensor([1])], 1).skip.item()).toBe(1);
});

test("bad input", () => {
  expect(() => clipByGlobalNorm(gradients(), -1)).toThrow(/maxNorm must be at least 0, got -1/);
  expect(() => clipByGlobalNorm([], 1)).toThrow(/at least one tensor/);
});
