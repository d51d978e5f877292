import { expect, test } from "vitest";
import { mergeMasks, padToWindow } from "../src/index.ts";

test("rows are padded to a multiple of the window, with masks merged and RoBERTa's positions", () => {
  const padded = padToWindow(
    {
      ids: [0, 31, 32, 2, 1, 0, 41, 42, 43, 2],
      shape: [2, 5],
      attentionMask: [1, 1, 1, 1, 0, 1, 1, 1, 1, 1],
      globalMask: [1, 0, 0, 0, 1, 1, 1, 0, 0, 0],
    },
    { window: 4, padId: 1 },
  );
  expect(padded.shape).toEqual([2, 8]);
  expect([...padded.ids]).toEqual([0, 31, 32, 2, 1, 1, 1, 1, 0, 41, 42, 43, 2, 1, 1, 1]);
  expect([...padded.mask]).toEqual([2, 1, 1, 1, 0, 0, 0, 0, 2, 2, 1, 1, 1, 0, 0, 0]);
  // Tokens count from 2, so that 4096 of them take a table of 4098.
  expect([...padded.positions]).toEqual([2, 3, 4, 5, 1, 1, 1, 1, 2, 3, 4, 5, 6, 1, 1, 1]);
  const long = padToWindow({ ids: new Int32Array(4096).fill(9), shape: [1, 4096] }, { window: 512, padId: 1 });
  expect([long.shape[1], long.positions.at(-1)]).toEqual([4096, 4097]);
});

test("a length that fits is left as it is, and masks may be bools or absent", () => {
  const { shape, mask } = padToWindow({ ids: [5, 6], shape: [1, 2], globalMask: [false, true] }, { window: 2, padId: 0 });
  expect([shape, [...mask]]).toEqual([
    [1, 2],
    [1, 2],
  ]);
  expect([...mergeMasks([1, 0, true])]).toEqual([1, 0, 1]);
});

test("refuses what does not fit", () => {
  const rows = { ids: [1, 2, 3], shape: [1, 3] as const };
  expect(() => padToWindow(rows, { window: 0, padId: 1 })).toThrow(/padToWindow: window .* got 0/);
  expect(() => padToWindow(rows, { window: 2, padId: -1 })).toThrow(/padToWindow: padId .* got -1/);
  expect(() => padToWindow({ ...rows, globalMask: [1] }, { window: 2, padId: 1 })).toThrow(/globalMask must hold 1 x 3 numbers, got 1/);
  expect(() => mergeMasks([1, 0], [1])).toThrow(/mergeMasks: both masks .* got 2 and 1/);
});
