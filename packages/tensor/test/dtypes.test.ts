import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromBfloat, fromHalf, toBfloat, toHalf } from "../src/dtype.ts";
import { type DType, decode, encode, reference, tensor } from "../src/index.ts";

describe("f16", () => {
  // Known words of IEEE 754 binary16.
  test.each([
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [1e9, 0x7c00],
    [-1e9, 0xfc00],
    [2 ** -14, 0x0400],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [2 ** -25 * 1.0001, 0x0001],
    [1 / 3, 0x3555],
    [Number.POSITIVE_INFINITY, 0x7c00],
    [Number.NaN, 0x7e00],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [2 - 2 ** -11, 0x4000],
    [2 ** -14 - 2 ** -26, 0x0400],
  ])("%d is word 0x%s", (value, word) => expect(toHalf(value)).toBe(word));

  test("every word survives a round trip", () => {
    for (let word = 0; word < 0x10000; word++) if (!Number.isNaN(fromHalf(word))) expect(toHalf(fromHalf(word))).toBe(word);
  });

  test("rounds to the nearest word, ties to even", () => {
    fc.assert(
      fc.property(fc.float({ min: -65504, max: 65504, noNaN: true }), (value) => {
        const word = toHalf(value);
        const error = Math.abs(fromHalf(word) - value);
        const magnitude = word & 0x7fff;
        for (const other of [magnitude - 1, magnitude + 1]) {
          if (other < 0 || other >= 0x7c00) continue;
          const distance = Math.abs(fromHalf(other | (word & 0x8000)) - value);
          expect(distance).toBeGreaterThanOrEqual(error);
          if (distance === error) expect(word & 1).toBe(0);
        }
      }),
    );
  });
});

describe("bf16", () => {
  test.each([
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3f80],
    [-2, 0xc000],
    [Math.PI, 0x4049],
    [3.3895313892515355e38, 0x7f7f],
    [3.4e38, 0x7f80],
    [Number.NEGATIVE_INFINITY, 0xff80],
    [1 + 2 ** -8, 0x3f80],
    [1 + 3 * 2 ** -8, 0x3f82],
  ])("%d is word 0x%s", (value, word) => expect(toBfloat(value)).toBe(word));

  test("every word survives a round trip, and NaN stays NaN", () => {
    for (let word = 0; word < 0x10000; word++) if (!Number.isNaN(fromBfloat(word))) expect(toBfloat(fromBfloat(word))).toBe(word);
    expect(fromBfloat(toBfloat(Number.NaN))).toBeNaN();
  });

  test("is never farther than half a step", () => {
    fc.assert(
      fc.property(fc.float({ min: Math.fround(-1e30), max: Math.fround(1e30), noNaN: true }), (value) => {
        expect(Math.abs(fromBfloat(toBfloat(value)) - value)).toBeLessThanOrEqual(Math.max(Math.abs(value) * 2 ** -8, 2 ** -134));
      }),
    );
  });
});

test("encode and decode keep what each dtype can hold", () => {
  const values: Record<DType, number[]> = {
    f64: [Math.PI, -1e300],
    f32: [0.5, -3],
    f16: [0.5, -3],
    bf16: [0.5, -3],
    i32: [-2147483648, 7],
    u32: [4294967295, 7],
    u8: [255, 0],
    bool: [1, 0],
  };
  for (const [dtype, list] of Object.entries(values)) expect([...decode(encode(list, dtype as DType), dtype as DType)]).toEqual(list);
  expect([...decode(encode([2, 0, -1], "bool"), "bool")]).toEqual([1, 0, 1]);
  const shifted = new Uint8Array(9).subarray(1);
  expect(decode(shifted, "f32")).toEqual(new Float32Array(2));
});

test("tensors take the dtype of their host data, and narrow ones read as f32", async () => {
  const device = reference();
  expect(tensor(Int32Array.of(1), { device }).dtype).toBe("i32");
  expect(tensor(Uint32Array.of(1), { device }).dtype).toBe("u32");
  expect(tensor(Uint8Array.of(1), { device }).dtype).toBe("u8");
  expect(tensor([[true, false]], { device }).dtype).toBe("bool");
  expect(tensor([1.5], { device }).dtype).toBe("f32");
  expect(await tensor([1 + 2 ** -12, 70000], { dtype: "f16", device }).data()).toEqual(Float32Array.of(1, Number.POSITIVE_INFINITY));
  expect(await tensor([1.001], { dtype: "bf16", device }).data()).toEqual(Float32Array.of(1));
});

test("casts truncate, saturate and round at the store", async () => {
  const x = tensor([-1.7, 3.99, 1e20, Number.NaN, Number.NEGATIVE_INFINITY], { device: reference() });
  expect([...(await x.cast("i32").data())]).toEqual([-1, 3, 2147483647, 0, -2147483648]);
  expect([...(await x.cast("u32").data())]).toEqual([0, 3, 4294967295, 0, 0]);
  expect([...(await x.cast("bool").data())]).toEqual([1, 1, 1, 1, 1]);
  // Rounded where it is cast, not where the chain ends.
  expect([
    ...(await tensor([1 + 2 ** -12], { device: reference() })
      .cast("f16")
      .cast("f32")
      .sub(1)
      .data()),
  ]).toEqual([0]);
});
