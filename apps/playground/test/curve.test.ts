import { describe, expect, test } from "vitest";
import { columns, lossRange, roundStep, scale, smooth, stepRange, ticks } from "../src/page/curve.ts";

describe("ticks", () => {
  test.each([
    [0, 5, 5, [0, 1, 2, 3, 4, 5]],
    [0, 1, 4, [0, 0.5, 1]],
    [0, 0.35, 4, [0, 0.1, 0.2, 0.3]],
    [2.31, 4.7, 5, [2.5, 3, 3.5, 4, 4.5]],
    [0, 2000, 4, [0, 500, 1000, 1500, 2000]],
  ])("between %d and %d are round", (min, max, count, expected) => expect(ticks(min, max, count)).toEqual(expected));

  test("of an empty range are one", () => expect(ticks(3, 3, 5)).toEqual([3]));
});

test.each([
  [1, 1],
  [1.01, 2],
  [3, 5],
  [70, 100],
  [0.02, 0.02],
])("a step of at least %d is %d", (least, step) => expect(roundStep(least)).toBeCloseTo(step, 12));

test("a mean follows at once where a run begins, and evens out later", () => {
  const falling = [5, 4, 3, 2].map((y, x) => ({ x, y }));
  expect(smooth(falling, 100).at(-1)!.y).toBeLessThan(3);
  const jumping = Array.from({ length: 400 }, (_, x) => ({ x, y: x % 2 }));
  for (const { y } of smooth(jumping, 50).slice(300)) expect(Math.abs(y - 0.5)).toBeLessThan(0.02);
});

test("a loss that is not finite leaves the mean alone", () => {
  const means = smooth(
    [1, Number.NaN, 1].map((y, x) => ({ x, y })),
    10,
  );
  expect(means.map(({ y }) => y)).toEqual([1, 1, 1]);
});

test("columns keep the peaks of all their steps", () => {
  const points = [1, 9, 2, 3].map((y, x) => ({ x, y }));
  expect(columns(points, (x) => x / 10)).toEqual([{ x: 0, min: 1, max: 9 }]);
  expect(columns(points, (x) => x * 10)).toHaveLength(4);
});

test("the axis of steps grows by round numbers and ends where the run does", () => {
  expect(stepRange(0, 1000)).toEqual({ min: 0, max: 50 });
  expect(stepRange(120, 1000)).toEqual({ min: 0, max: 200 });
  expect(stepRange(990, 1000)).toEqual({ min: 0, max: 1000 });
  expect(stepRange(60, 80)).toEqual({ min: 0, max: 80 });
});

test("the axis of losses holds them with room, and forgets what is not finite", () => {
  expect(lossRange([4.6, 1.5, Number.NaN, Number.POSITIVE_INFINITY])).toEqual({ min: 1.3, max: 4.8 });
  expect(lossRange([0.02]).min).toBe(0);
  expect(lossRange([])).toEqual({ min: 0, max: 5 });
});

test("a scale may run upwards", () => {
  const y = scale({ min: 0, max: 4 }, 200, 0);
  expect([0, 1, 4].map(y)).toEqual([200, 150, 0]);
});
