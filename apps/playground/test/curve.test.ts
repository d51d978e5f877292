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

const points = (...losses: number[]) => losses.map((y, x) => ({ x, y }));

test("a mean neither lags nor leads, and evens out what jumps", () => {
  expect(smooth(points(5, 4, 3, 2, 1, 0), 2).map(({ y }) => y)).toEqual([5, 4, 3, 2, 1.5, 1]);
  const jumping = points(...Array.from({ length: 400 }, (_, x) => x % 2));
  for (const { y } of smooth(jumping, 50).slice(50)) expect(Math.abs(y - 0.5)).toBeLessThan(0.02);
});

test("a loss that is not finite leaves the mean alone", () => {
  expect(smooth(points(1, Number.NaN, 1), 10)).toEqual([
    { x: 0, y: 1 },
    { x: 2, y: 1 },
  ]);
});

test("columns keep the peaks of all their steps", () => {
  expect(columns(points(1, 9, 2, 3), (x) => x / 10)).toEqual([{ x: 0, min: 1, max: 9 }]);
  expect(columns(points(1, 9, 2, 3), (x) => x * 10)).toHaveLength(4);
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
