import { wasm } from "@x/kernels-wasm";
import { defaultDevice, Generator, grad, randn, tensor, withDevice, withGenerator } from "@x/tensor";
import { gradcheck } from "@x/testing";
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
  TensorSketchFeatures,
} from "../src/index.ts";

/** Checks by finite differences; the map is made on the device of the check, from the same seed each time. */
const check = (make: () => FeatureMap, options: KernelAttention, { order = 2 as 1 | 2, length = 5 } = {}) =>
  gradcheck(
    ({ q, k, v }) => {
      const device = defaultDevice("gradients");
      const features = withGenerator(new Generator({ seed: 2, device }), make);
      const present = Array.from({ length }, (_, i) => i !== 2);
      const keyMask = tensor(present, { shape: [1, length] });
      return linearAttention({ q: q!, k: k!, v: v!, keyMask }, { features, ...options });
    },
    { q: { shape: [1, 2, length, 2] }, k: { shape: [1, 1, length, 2] }, v: { shape: [1, 1, length, 2] } },
    { order, step: 1e-4, atol: 2e-5, rtol: 1e-4 },
  );

describe("gradients of first and second order are those of finite differences", () => {
  // Without eps, as the gradient does not follow what divides exponentials: it cancels up to eps.
  const maps: Record<string, () => FeatureMap> = {
    "FAVOR+": () => new FavorFeatures({ headDim: 2, numFeatures: 3, eps: 0 }),
    "hyperbolic features": () => new FavorFeatures({ headDim: 2, numFeatures: 3, eps: 0, kind: "hyperbolic" }),
    "trigonometric features": () => new FavorFeatures({ headDim: 2, numFeatures: 64, kind: "trigonometric" }),
    "the Gaussian": () => new GaussianFeatures({ headDim: 2, numFeatures: 3, eps: 0 }),
    "elu(x) + 1": () => new KernelFeatures({ headDim: 2, kernel: "elu1" }),
    "relu of a projection": () => new KernelFeatures({ headDim: 2, kernel: "relu", eps: 0.5, projection: { numFeatures: 3 } }),
    "exp(x)": () => new KernelFeatures({ headDim: 2, kernel: "exp" }),
    "softmax over features": () => new SoftmaxPairFeatures({ headDim: 2 }),
    "(q . k + c)^2": () => new PolynomialFeatures({ headDim: 2, degree: 2 }),
  };
  for (const [name, make] of Object.entries(maps))
    for (const causal of [false, true])
      test(`${name}, ${causal ? "causal in chunks of 2" : "all keys"}`, () => check(make, { causal, chunk: 2 }));

  test("without normalization, scales included", async () => {
    await check(() => new FavorFeatures({ headDim: 2, numFeatures: 3, eps: 0, kind: "trigonometric" }), {
      normalize: false,
      causal: true,
      chunk: 2,
    });
    await check(() => new TensorSketchFeatures({ headDim: 2, degree: 2, numFeatures: 4 }), { normalize: false });
  });

  test("over many chunks, groups of groups included", () => check(maps["FAVOR+"]!, { causal: true, chunk: 1 }, { order: 1, length: 18 }));
});

describe("eps", () => {
  const gradientOf = async (shift: number, eps: number) => {
    const device = await wasm();
    return withDevice(device, () =>
      withGenerator(new Generator({ seed: 5, device }), () => {
        const features = new FavorFeatures({ headDim: 4, numFeatures: 6, eps });
        const [q, k, v] = [randn([1, 1, 9, 4]), randn([1, 1, 9, 4]), randn([1, 1, 9, 4])];
        const loss = () =>
          linearAttention({ q, k: k.mul(shift), v }, { features, causal: true, chunk: 4 })
            .square()
            .sum();
        return grad(loss, [k])[0]!.data();
      }),
    );
  };
  test("gives gradients that are numbers, for keys of any size", async () => {
    for (const size of [1, 30])
      for (const eps of [0, 1e-6, 1e-2]) expect([...(await gradientOf(size, eps))].every(Number.isFinite)).toBe(true);
  });
});

test("the backward pass of causal attention holds sums for each chunk, not for each position", async () => {
  const device = await wasm({ threads: 1 });
  await withDevice(device, async () => {
    const [length, width, numFeatures] = [2048, 64, 128];
    const features = new FavorFeatures({ headDim: width, numFeatures });
    const [q, k, v] = [randn([1, 1, length, width]), randn([1, 1, length, width]), randn([1, 1, length, width])];
    const before = device.memory();
    const gradients = grad(() => linearAttention({ q, k, v }, { features, causal: true }).square().sum(), [q, k, v]);
    await gradients[0]!.data();
    const each = 4 * length * numFeatures * width;
    expect(before.peak).toBeLessThan(each / 2);
    // All that forward and backward keep is a part of one set of sums by position.
    expect(device.memory().peak - before.live).toBeLessThan(each);
  });
});
