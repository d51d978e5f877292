import { grad, reference, setDefaultDevice } from "@x/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { AlibiBias, alibiSlopes, T5RelativeBias, t5Bucket } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

describe("ALiBi", () => {
  // log2 of the slopes, from the paper's code for head counts that are and are not powers of two.
  test.each([
    [1, [-8]],
    [2, [-4, -8]],
    [3, [-4, -8, -2]],
    [6, [-2, -4, -6, -8, -1, -3]],
    [8, [-1, -2, -3, -4, -5, -6, -7, -8]],
    [12, [-1, -2, -3, -4, -5, -6, -7, -8, -0.5, -1.5, -2.5, -3.5]],
  ])("slopes of %i heads", (heads, exponents) => {
    expect([...alibiSlopes(heads)]).toEqual(exponents.map((exponent) => 2 ** exponent));
  });

  test("MPT's largest exponent is another", () => {
    expect([...alibiSlopes(4, 16)].map(Math.log2)).toEqual([-4, -8, -12, -16]);
  });

  test("grows with the distance either way, times the slope", async () => {
    const bias = new AlibiBias({ numHeads: 2 });
    expect(await bias.forward(2).add(0).array()).toEqual([
      [-2 / 16, -1 / 16, 0, -1 / 16, -2 / 16],
      [-2 / 256, -1 / 256, 0, -1 / 256, -2 / 256],
    ]);
    expect(bias.namedParameters().size).toBe(0);
  });

  test("takes slopes and a factor of one's own", async () => {
    expect(await new AlibiBias({ numHeads: 1, slopes: [3], factor: 0.5 }).forward(1).add(0).array()).toEqual([[-1.5, 0, -1.5]]);
    expect(() => new AlibiBias({ numHeads: 2, slopes: [1] })).toThrow("AlibiBias: 2 heads need as many slopes, got 1.");
    expect(() => new AlibiBias({ numHeads: 0 })).toThrow("AlibiBias: numHeads must be a positive integer, got 0.");
    expect(() => new AlibiBias({ numHeads: 1, slopes: [Number.NaN] })).toThrow("must be finite numbers, got NaN");
  });
});

describe("T5", () => {
  const both = { numBuckets: 32, maxDistance: 128, bidirectional: true };
  const past = { ...both, bidirectional: false };

  test("the published buckets of distances both ways", () => {
    const golden: [number, number][] = [
      [-200, 15],
      [-64, 14],
      [-32, 12],
      [-16, 10],
      [-8, 8],
      [-7, 7],
      [0, 0],
      [1, 17],
      [8, 24],
      [127, 31],
    ];
    for (const [distance, bucket] of golden) expect([distance, t5Bucket(distance, both)]).toEqual([distance, bucket]);
  });

  test("the published buckets of a decoder, which sees nothing ahead", () => {
    const golden: [number, number][] = [
      [15, 15],
      [16, 16],
      [18, 16],
      [19, 17],
      [21, 18],
      [31, 21],
      [45, 23],
      [46, 24],
      [64, 26],
      [112, 30],
      [113, 31],
    ];
    for (const [behind, bucket] of golden) expect([behind, t5Bucket(-behind, past)]).toEqual([behind, bucket]);
    for (const ahead of [1, 5, 300]) expect(t5Bucket(ahead, past)).toBe(0);
  });

  test("a trained number for each head and bucket; whatever shares a bucket adds up in its gradient", async () => {
    const bias = new T5RelativeBias({
      numHeads: 2,
      numBuckets: 4,
      maxDistance: 3,
      init: () => Float64Array.from({ length: 8 }, (_, i) => i),
    });
    // Distances -3 ... 3 are in buckets 1 1 1 0 3 3 3.
    expect(await bias.forward().array()).toEqual([
      [2, 2, 2, 0, 6, 6, 6],
      [3, 3, 3, 1, 7, 7, 7],
    ]);
    expect(await grad(() => bias.forward().sum(), bias.weight).array()).toEqual([
      [1, 1],
      [3, 3],
      [0, 0],
      [3, 3],
    ]);
    expect([...bias.namedParameters().keys()]).toEqual(["weight"]);
  });

  test("refuses buckets that make no sense", () => {
    expect(() => new T5RelativeBias({ numHeads: 2, numBuckets: 7 })).toThrow("numBuckets must be even and at least 4, got 7");
    expect(() => new T5RelativeBias({ numHeads: 2, maxDistance: 8 })).toThrow(
      "maxDistance 8 must exceed the 8 distances with buckets of their own",
    );
  });
});
