import { Generator, randn, reference, setDefaultDevice, type Tensor, tensor, withGenerator } from "@x/tensor";
import { Stream } from "@x/testing";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type DrawOptions,
  drawProjection,
  FavorFeatures,
  type FavorOptions,
  type FeatureMap,
  GaussianFeatures,
  linearAttention,
  TensorSketchFeatures,
} from "../src/index.ts";
import { bookSoftmax } from "./support.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));

const headDim = 8;
const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);
const seeded = <R>(seed: number, fn: () => R): R => withGenerator(new Generator({ seed, device }), fn);

/** Estimates of exp(q . k / sqrt(headDim)) by positive features, one for each of `draws` projections. */
function estimates(options: Partial<DrawOptions>, q: Float64Array, k: Float64Array, draws: number): number[] {
  const generator = new Generator({ seed: 11, device });
  const numFeatures = 2 * headDim;
  const scaled = [q, k].map((x) => x.map((value) => value * headDim ** -0.25));
  return Array.from({ length: draws }, () => {
    const omega = drawProjection({ headDim, numFeatures, ...options }, generator);
    const phi = (x: Float64Array) =>
      Array.from({ length: numFeatures }, (_, m) => Math.exp(dot(omega.subarray(m * headDim, (m + 1) * headDim), x) - dot(x, x) / 2));
    return dot(phi(scaled[0]!), phi(scaled[1]!)) / numFeatures;
  });
}
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const meanSquare = (values: readonly number[], around: number) => mean(values.map((value) => (value - around) ** 2));

describe("projections", () => {
  // Short enough that a few thousand draws say something: the variance grows like exp(|q + k|^2 / sqrt(headDim)).
  const short = (name: string, i: number) => new Stream(name, i).normal(headDim).map((value) => value / 2);
  const pairs = Array.from({ length: 4 }, (_, i) => [short("q", i), short("k", i)] as const);

  test("estimates are unbiased, whether rows are orthogonal or independent", () => {
    for (const [q, k] of pairs)
      for (const orthogonal of [true, false]) {
        const values = estimates({ orthogonal }, q, k, 2000);
        const expected = Math.exp(dot(q, k) / Math.sqrt(headDim));
        const error = Math.sqrt(meanSquare(values, mean(values)) / values.length);
        expect(Math.abs(mean(values) - expected) / error).toBeLessThan(4);
        // Close enough for the comparison to mean something.
        expect(error / expected).toBeLessThan(0.05);
      }
  });

  test("orthogonal rows estimate better than independent ones", () => {
    for (const [q, k] of pairs) {
      const expected = Math.exp(dot(q, k) / Math.sqrt(headDim));
      const error = (orthogonal: boolean) => meanSquare(estimates({ orthogonal }, q, k, 2000), expected);
      expect(error(true)).toBeLessThan(error(false));
    }
  });

  test("rows of a block are at right angles, a last block is cut, and lengths are sqrt(headDim) or those of Gaussian vectors", () => {
    const generator = new Generator({ seed: 1, device });
    const rows = (options: Partial<DrawOptions>) => {
      const omega = drawProjection({ headDim, numFeatures: 19, ...options }, generator);
      expect(omega).toHaveLength(19 * headDim);
      return Array.from({ length: 19 }, (_, m) => omega.subarray(m * headDim, (m + 1) * headDim));
    };
    for (const haar of [true, false]) {
      const omega = rows({ rowNorm: "sqrt", haar });
      for (const [i, a] of omega.entries())
        for (const [j, b] of omega.entries()) {
          if (i === j) expect(dot(a, b)).toBeCloseTo(headDim, 9);
          else if (Math.floor(i / headDim) === Math.floor(j / headDim)) expect(Math.abs(dot(a, b))).toBeLessThan(1e-9);
          else expect(Math.abs(dot(a, b))).toBeGreaterThan(1e-6);
        }
    }
    const squares = Array.from({ length: 100 }, () => rows({}).map((row) => dot(row, row))).flat();
    // chi squared with headDim degrees: mean headDim, variance 2 headDim.
    expect(mean(squares)).toBeCloseTo(headDim, 0);
    expect(meanSquare(squares, headDim)).toBeGreaterThan(headDim);
    expect(meanSquare(squares, headDim)).toBeLessThan(3 * headDim);
  });

  test("rows point everywhere alike; with the raw signs of a QR decomposition the first never points right", () => {
    const first = (haar: boolean) => {
      const generator = new Generator({ seed: 2, device });
      return Array.from({ length: 400 }, () => drawProjection({ headDim, numFeatures: headDim, haar, rowNorm: "sqrt" }, generator)[0]!);
    };
    expect(Math.abs(mean(first(true)))).toBeLessThan(4 / Math.sqrt(400));
    expect(first(false).every((value) => value < 0)).toBe(true);
  });

  test("the number of features is floor(headDim ln headDim) if nothing is said", () => {
    expect(seeded(1, () => new FavorFeatures({ headDim: 64 })).featureDim).toBe(266);
    expect(seeded(1, () => new FavorFeatures({ headDim: 64, kind: "hyperbolic" })).featureDim).toBe(532);
    expect(seeded(1, () => new FavorFeatures({ headDim: 1 })).featureDim).toBe(1);
  });

  test("the same seed draws the same projection", async () => {
    const of = (seed: number) => seeded(seed, () => new FavorFeatures({ headDim: 4 })).projection.projection_matrix.data();
    expect(await of(5)).toEqual(await of(5));
    expect(await of(5)).not.toEqual(await of(6));
  });
});

describe("attention by features is near attention by softmax", () => {
  const inputs = () =>
    seeded(4, () => ({ q: randn([1, 1, 24, headDim]).div(2), k: randn([1, 1, 24, headDim]).div(2), v: randn([1, 1, 24, 4]) }));
  const medianError = async (options: Partial<FavorOptions>, causal: boolean): Promise<number> => {
    const given = inputs();
    const features = seeded(8, () => new FavorFeatures({ headDim, eps: 0, ...options }));
    const y = await linearAttention(given, { features, causal }).data();
    const [q, k, v] = (await Promise.all([given.q, given.k, given.v].map((x) => x.reshape(x.shape.slice(2)).array()))) as number[][][];
    const errors = bookSoftmax(q!, k!, v!, causal)
      .flat()
      .map((expected, i) => Math.abs(y[i]! - expected));
    return errors.sort((a, b) => a - b)[Math.floor(errors.length / 2)]!;
  };

  test.each(["positive", "hyperbolic", "trigonometric"] as const)("the more %s features, the nearer: by about the root", async (kind) => {
    for (const causal of [false, true]) {
      const [few, more, many] = [
        await medianError({ kind, numFeatures: 32 }, causal),
        await medianError({ kind, numFeatures: 512 }, causal),
        await medianError({ kind, numFeatures: 8192 }, causal),
      ];
      // Sixteen times the features: a fourth of the error.
      expect(few / more).toBeGreaterThan(2);
      expect(more / many).toBeGreaterThan(2);
      expect(many).toBeLessThan(0.01);
    }
  });

  test("what eps adds pulls towards the mean of the values, a little", async () => {
    expect(await medianError({ numFeatures: 8192, eps: 1e-6 }, true)).toBeLessThan(0.01);
    expect(await medianError({ numFeatures: 8192, eps: 10 }, true)).toBeGreaterThan(0.03);
  });
});

describe("features of other kernels estimate them", () => {
  const [q, k] = [new Stream("q", 7).normal(4), new Stream("k", 7).normal(4)].map((x) => x.map((value) => value / 2)) as [
    Float64Array,
    Float64Array,
  ];
  const estimate = async (features: FeatureMap, a = q, b = k) => {
    const place = (x: Float64Array) => tensor(Float32Array.from(x), { shape: [1, 1, 1, 4] });
    const one: Tensor = tensor([1], { shape: [1, 1, 1, 1] });
    return (await linearAttention({ q: place(a), k: place(b), v: one }, { features, normalize: false }).data())[0]!;
  };

  test.each(["positive", "hyperbolic", "trigonometric"] as const)("the Gaussian, by %s features", async (kind) => {
    const square = q.reduce((sum, value, i) => sum + (value - k[i]!) ** 2, 0);
    const features = seeded(3, () => new GaussianFeatures({ headDim: 4, deviation: 0.8, numFeatures: 20_000, kind, eps: 0 }));
    expect(await estimate(features)).toBeCloseTo(Math.exp(-square / (2 * 0.8 ** 2)), 1.5);
  });

  test.each(["positive", "hyperbolic", "trigonometric"] as const)("exp(q . k / sqrt(headDim)) itself, by %s features", async (kind) => {
    const features = seeded(3, () => new FavorFeatures({ headDim: 4, numFeatures: 20_000, kind, eps: 0 }));
    expect(await estimate(features)).toBeCloseTo(Math.exp(dot(q, k) / 2), 1.5);
  });

  test("(q . k + c)^3, by TensorSketch: the mean of many small ones", async () => {
    const [near, values] = [q.map((value) => 2 * value), [] as number[]];
    for (let seed = 0; seed < 300; seed++) {
      const features = seeded(seed, () => new TensorSketchFeatures({ headDim: 4, degree: 3, offset: 0.5, numFeatures: 32 }));
      values.push(await estimate(features, near, near));
    }
    const error = Math.sqrt(meanSquare(values, mean(values)) / values.length);
    const expected = (dot(near, near) + 0.5) ** 3;
    expect(Math.abs(mean(values) - expected) / error).toBeLessThan(4);
    expect(error / expected).toBeLessThan(0.1);
  });
});
