import { full, Generator, randn, Tensor, tensor, withDevice, withGenerator } from "@x/tensor";
import { describeDevices } from "@x/testing";
import { tensorMatchers } from "@x/testing/vitest";
import { describe, expect, test } from "vitest";
import {
  FavorFeatures,
  type FeatureMap,
  GaussianFeatures,
  type KernelAttention,
  KernelFeatures,
  linearAttention,
  PolynomialFeatures,
  SoftmaxPairFeatures,
} from "../src/index.ts";
import { type BookKernel, book, bookFavor, devices } from "./support.ts";

expect.extend(tensorMatchers);
const close = { atol: 1e-5, rtol: 1e-4 };
const positiveOnly = (x: number) => Math.max(x, 0);
const elementwise = (apply: (x: number) => number): BookKernel => {
  const phi = (x: readonly number[]) => x.map(apply);
  return { query: phi, key: phi };
};
const dotOf = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

/** Three heads of queries for one of keys, lengths that no chunk divides, and row 1 padded on the right, row 0 on the left with two. */
const present = (b: number, j: number) => (b === 0 ? j >= 2 : j < 11);

await describeDevices(
  devices,
  (device, { describe, test }) => {
    const within = <R>(fn: () => R): R => withDevice(device, () => withGenerator(new Generator({ seed: 3, device }), fn));
    const drawn = (length = 13, kvHeads = 1, heads = 3) =>
      within(() => ({ q: randn([2, heads, length, 4]), k: randn([2, kvHeads, length, 4]), v: randn([2, kvHeads, length, 5]) }));
    const omegaOf = async (features: FavorFeatures) => (await features.projection.projection_matrix.value.array()) as number[][];

    // What is added to sums is relative to their scale, which without eps is not the published one.
    const relative = "causal with small numbers to divide by";
    const settings: Record<string, KernelAttention> = {
      "all keys": {},
      "causal in chunks of 4": { causal: true, chunk: 4 },
      "causal in one chunk": { causal: true, chunk: 64 },
      "causal, scaled by all keys": { causal: true, chunk: 4, stabilizer: "global" },
      "masked values only": { maskMode: "values-only" },
      "causal, masked values only": { causal: true, chunk: 4, maskMode: "values-only" },
      [relative]: { causal: true, chunk: 4, denominatorEps: 0.01, keySumEps: 0.02 },
    };
    const check = async (features: FeatureMap, kernel: BookKernel, given: KernelAttention, normalize = true) => {
      const inputs = drawn();
      const mask = Array.from({ length: 26 }, (_, i) => present(Math.floor(i / 13), i % 13));
      const keyMask = within(() => tensor(mask, { shape: [2, 13] }));
      const y = within(() => linearAttention({ ...inputs, keyMask }, { features, normalize, ...given }));
      const { causal = false, maskMode, stabilizer, denominatorEps = 0, keySumEps = 0 } = given;
      const valuesOnly = maskMode === "values-only";
      const global = stabilizer === "global";
      const expected = await book(inputs, kernel, { causal, normalize, present, valuesOnly, global, denominatorEps, keySumEps });
      await expect(y).toBeCloseToTensor(expected, close);
    };

    describe("FAVOR+ is its formula, pair by pair", () => {
      for (const [name, given] of Object.entries(settings))
        for (const [kind, eps] of [
          ["positive", 0.05],
          ["hyperbolic", 0],
        ] as const)
          if (eps > 0 || name !== relative)
            test(`${kind}, eps ${eps}, ${name}`, async () => {
              const features = within(() => new FavorFeatures({ headDim: 4, numFeatures: 6, kind, eps }));
              await check(features, bookFavor(await omegaOf(features), eps, kind), given);
            });
    });

    const exponent = (x: readonly number[]) => x.map(Math.exp);
    const softmaxOf = (x: readonly number[]) => {
      const sum = exponent(x).reduce((a, b) => a + b, 0);
      return exponent(x).map((value) => value / sum);
    };
    const kernels: Record<string, [() => FeatureMap, BookKernel]> = {
      "elu(x) + 1": [() => new KernelFeatures({ headDim: 4, kernel: "elu1" }), elementwise((x) => (x > 0 ? x + 1 : Math.exp(x)))],
      "relu(x) + 1e-3": [() => new KernelFeatures({ headDim: 4, kernel: "relu" }), elementwise((x) => positiveOnly(x) + 1e-3)],
      "squared relu of scaled heads": [
        () => new KernelFeatures({ headDim: 4, kernel: "squaredRelu", scale: 4 ** -0.25 }),
        elementwise((x) => positiveOnly(x) ** 2 / 2 + 1e-3),
      ],
      "exp(x)": [() => new KernelFeatures({ headDim: 4, kernel: "exp" }), elementwise(Math.exp)],
      "a function of one's own": [
        () => new KernelFeatures({ headDim: 4, kernel: (x) => x.square(), positive: true, eps: 0.1 }),
        elementwise((x) => x * x + 0.1),
      ],
      "(q . k + 2)^2": [() => new PolynomialFeatures({ headDim: 4, degree: 2, offset: 2 }), direct((q, k) => (dotOf(q, k) + 2) ** 2)],
    };
    describe("other kernels", () => {
      for (const [name, [make, kernel]] of Object.entries(kernels))
        for (const way of ["all keys", "causal in chunks of 4", "masked values only"])
          test(`${name}, ${way}`, () => check(within(make), kernel, settings[way]!));

      test("softmax over features, and exp of the keys in causal attention", async () => {
        const kernel = { query: softmaxOf, key: exponent };
        await check(
          within(() => new SoftmaxPairFeatures({ headDim: 4 })),
          kernel,
          { causal: true, chunk: 4 },
        );
      });

      test("softmax over features, and over positions where all keys are seen", async () => {
        const features = within(() => new SoftmaxPairFeatures({ headDim: 4 }));
        const { q, k, v } = drawn(5, 3);
        const keyMask = within(() => tensor([true, true, false, true, true, true, true, true, true, true], { shape: [2, 5] }));
        const [queries, keys, values] = (await Promise.all([q, k, v].map((x) => x.array()))) as [
          number[][][][],
          number[][][][],
          number[][][][],
        ];
        const expected = queries.map((heads, b) =>
          heads.map((rows, h) => {
            const weights = keys[b]![h]!.map((key, j) => (b === 0 && j === 2 ? key.map(() => 0) : exponent(key)));
            const sums = weights[0]!.map((_, m) => weights.reduce((sum, row) => sum + row[m]!, 0));
            return rows.map((x) => {
              const pairs = weights.map((row) => softmaxOf(x).reduce((sum, value, m) => sum + (value * row[m]!) / sums[m]!, 0));
              return values[b]![h]![0]!.map((_, d) => pairs.reduce((sum, weight, j) => sum + weight * values[b]![h]![j]![d]!, 0));
            });
          }),
        );
        await expect(within(() => linearAttention({ q, k, v, keyMask }, { features }))).toBeCloseToTensor(expected, close);
      });

      test("without normalization: the sum as it stands, scales restored", async () => {
        const odd = within(() => new PolynomialFeatures({ headDim: 4, degree: 3 }));
        await check(
          odd,
          direct((q, k) => (dotOf(q, k) + 1) ** 3),
          { causal: true, chunk: 4 },
          false,
        );
        const cosine = within(() => new KernelFeatures({ headDim: 4, kernel: "cos" }));
        await check(cosine, elementwise(Math.cos), {}, false);
        for (const causal of [false, true]) {
          const features = within(() => new FavorFeatures({ headDim: 4, numFeatures: 6, eps: 0 }));
          const { query, ...kernel } = bookFavor(await omegaOf(features), 0);
          // The query's own scale, which cancels in a quotient, is back too.
          const whole = { ...kernel, query: (x: readonly number[]) => query(x).map((value) => value * Math.exp(kernel.scale!(x))) };
          await check(features, whole, { causal, chunk: 4 }, false);
        }
      });
    });

    describe("causal attention by chunks", () => {
      test("chunks of 1, 7, 64 and the whole length agree, several levels of groups included", async () => {
        const features = within(() => new FavorFeatures({ headDim: 4, numFeatures: 5 }));
        const inputs = within(() => ({ q: randn([1, 2, 300, 4]), k: randn([1, 2, 300, 4]).mul(2), v: randn([1, 2, 300, 3]) }));
        const run = (chunk: number) => within(() => linearAttention(inputs, { features, causal: true, chunk }));
        const whole = run(300);
        for (const chunk of [1, 7, 64]) await expect(run(chunk)).toBeCloseToTensor(whole, { atol: 2e-5, rtol: 1e-4 });
      });

      test("a later key changes no bit of an earlier result", async () => {
        const features = within(() => new FavorFeatures({ headDim: 4, numFeatures: 5, eps: 0.1 }));
        const { q, k, v } = drawn(20, 3);
        const loud = within(() => Tensor.concat([k.slice(2, 0, 19), k.slice(2, 19, 20).mul(40)], 2));
        const run = (keys: Tensor, stabilizer: "running" | "global") =>
          within(() => linearAttention({ q, k: keys, v }, { features, causal: true, chunk: 8, stabilizer }).slice(2, 0, 19));
        expect([...(await run(loud, "running").data())]).toEqual([...(await run(k, "running").data())]);
        // As published the largest key rules all of them.
        expect([...(await run(loud, "global").data())]).not.toEqual([...(await run(k, "global").data())]);
      });

      test("keys that grow and shrink by hundreds of orders stay what their neighbours make of them", async () => {
        const features = within(() => new FavorFeatures({ headDim: 4, numFeatures: 8, eps: 0 }));
        const { q, k, v } = drawn(24, 1, 1);
        const size = within(() => tensor([...Array.from({ length: 24 }, (_, i) => (i % 7 === 3 ? 12 : 0.5))], { shape: [1, 1, 24, 1] }));
        const inputs = { q, k: within(() => k.mul(size)), v };
        const omega = await omegaOf(features);
        const expected = await book(inputs, withoutNorm(omega), { causal: true });
        for (const chunk of [3, 64])
          await expect(within(() => linearAttention(inputs, { features, causal: true, chunk }))).toBeCloseToTensor(expected, {
            atol: 1e-4,
            rtol: 1e-3,
          });
      });
    });

    test("heads of length 30 do not overflow, whatever the kernel", async () => {
      const inputs = drawn(9, 3);
      const long = within(() => ({ q: inputs.q.mul(15), k: inputs.k.mul(15), v: inputs.v }));
      const maps = within(() => [
        ...(["positive", "hyperbolic", "trigonometric"] as const).map((kind) => new FavorFeatures({ headDim: 4, kind })),
        new GaussianFeatures({ headDim: 4 }),
        new KernelFeatures({ headDim: 4, kernel: "exp" }),
        new SoftmaxPairFeatures({ headDim: 4 }),
      ]);
      for (const features of maps)
        for (const causal of [false, true]) {
          const y = within(() => linearAttention(long, { features, causal, chunk: 4 }));
          expect([...(await y.data())].every(Number.isFinite)).toBe(true);
        }
    });

    test("no keys give zeros, and no queries nothing", async () => {
      const features = within(() => new FavorFeatures({ headDim: 4 }));
      const { q, k, v } = drawn(3, 1);
      const run = (queries: number, keys: number, causal: boolean) =>
        within(() => linearAttention({ q: q.slice(2, 0, queries), k: k.slice(2, 0, keys), v: v.slice(2, 0, keys) }, { features, causal }));
      expect([...(await run(3, 0, false).data())]).toEqual(new Array(2 * 3 * 3 * 5).fill(0));
      for (const causal of [false, true]) expect(run(0, 0, causal).shape).toEqual([2, 3, 0, 5]);
    });

    test("half precision comes in and out, and sums are wide: they pass what it holds", async () => {
      const features = within(() => new KernelFeatures({ headDim: 4, kernel: "elu1" }));
      const one = (value: number) => within(() => full([1, 1, 600, 4], value, { dtype: "f16" }));
      for (const causal of [false, true]) {
        // Sums of 600 x 16 x 30 on the way.
        const y = within(() => linearAttention({ q: one(15), k: one(15), v: one(30) }, { features, causal }));
        expect(y.dtype).toBe("f16");
        await expect(y.cast("f32")).toBeCloseToTensor(
          within(() => full([1, 1, 600, 4], 30)),
          { atol: 0.05, rtol: 0 },
        );
      }
    });

    test("what padding holds is never seen, not even what is no number, and a row of padding alone gives zeros", async () => {
      const { q, k, v } = drawn(6, 1);
      const hole = within(() =>
        tensor([false, false, true, true, true, true, false, false, false, false, false, false], { shape: [2, 6] }),
      );
      const spoil = (x: Tensor) => within(() => hole.reshape([2, 1, 6, 1]).expand(x.shape).where(x, Number.NaN));
      for (const eps of [0, 0.1])
        for (const causal of [false, true]) {
          const features = within(() => new FavorFeatures({ headDim: 4, eps }));
          const run = (keys: Tensor, values: Tensor) =>
            within(() => linearAttention({ q, k: keys, v: values, keyMask: hole }, { features, causal, chunk: 4 }));
          const y = run(spoil(k), spoil(v));
          await expect(y).toBeCloseToTensor(run(k, v), { atol: 0, rtol: 0 });
          const alone = within(() =>
            linearAttention(
              { q: q.slice(0, 0, 1).slice(2, 2, 6), k: k.slice(0, 0, 1).slice(2, 2, 6), v: v.slice(0, 0, 1).slice(2, 2, 6) },
              { features, causal },
            ),
          );
          await expect(y.slice(0, 0, 1).slice(2, 2, 6)).toBeCloseToTensor(alone, close);
          expect([...(await y.slice(0, 1, 2).data())].every((value) => value === 0)).toBe(true);
        }
    });
  },
  { describe, test },
);

/** A kernel given as such: its query is kept, and its key makes one feature of both. */
function direct(kernel: (q: readonly number[], k: readonly number[]) => number): BookKernel {
  let last: readonly number[] = [];
  return {
    // `book` takes the dot product of what query and key give; one feature 1 leaves the key's, which knows the query.
    query: (x) => {
      last = x;
      return [1];
    },
    key: (x) => [kernel(last, x)],
  };
}

/** FAVOR+ without eps, relative to exp(w x - |x|^2 / 2): the scale cancels, so any serves. */
function withoutNorm(omega: readonly (readonly number[])[]): BookKernel {
  const plain = bookFavor(omega, 0);
  const largest = (x: readonly number[]) => plain.scale!(x) - dotOf(x, x) / (2 * Math.sqrt(x.length));
  return { query: plain.query, key: (x, c) => plain.key(x, c), scale: largest };
}
