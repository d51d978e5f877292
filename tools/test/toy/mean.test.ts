import { expect, test } from "vitest";
import { mean } from "./mean.ts";

test("divides by the count", () => {
  expect(mean([1, 2, 6])).toBe(3);
});

test("is a number", () => {
  expect(mean([])).toBeTypeOf("number");
});
