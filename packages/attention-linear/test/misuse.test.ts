import { RotaryPositions } from "@x/posenc";
import { randn, reference, setDefaultDevice, tensor } from "@x/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import {
  FavorFeatures,
  KernelFeatures,
  LinearAttention,
  linearAttention,
  PerformerAttention,
  type PerformerOptions,
  PolynomialFeatures,
  RandomProjection,
  SoftmaxPairFeatures,
  TensorSketchFeatures,
} from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const make = (options: Partial<PerformerOptions> = {}): PerformerAttention =>
  new PerformerAttention({ dim: 12, numHeads: 6, causal: true, ...options });

describe("misuse", () => {
  const elu = () => new KernelFeatures({ headDim: 2, kernel: "elu1" });
  const linear = (options: object) => () => new LinearAttention({ dim: 4, numHeads: 2, features: elu(), ...options });

  test("sizes that do not fit are refused when the layer is made", () => {
    expect(() => make({ numHeads: 5 })).toThrow("PerformerAttention: dim 12 must be a multiple of numHeads 5, or headDim be given");
    expect(() => make({ numKvHeads: 4 })).toThrow("PerformerAttention: numHeads 6 must be a multiple of numKvHeads 4");
    expect(() => make({ localHeads: 6 })).toThrow("localHeads must be from 0 to 5, got 6. Where all heads are local");
    expect(() => make({ numKvHeads: 2, localHeads: 2 })).toThrow("localHeads 2 must be a multiple of the 3 query heads that share keys");
    expect(linear({ features: new KernelFeatures({ headDim: 3, kernel: "elu1" }) })).toThrow(
      "features are made for a headDim of 3, the layer's is 2",
    );
    expect(linear({ chunk: 0 })).toThrow("LinearAttention: chunk must be a positive integer, got 0");
    expect(linear({ maskMode: "none" })).toThrow('LinearAttention: maskMode must be one of keys, values-only, got "none"');
    expect(linear({ stabilizer: "local" })).toThrow('stabilizer must be one of running, global, got "local"');
    expect(linear({ denominatorEps: -1 })).toThrow("LinearAttention: denominatorEps must be a finite number, 0 or more, got -1");
    expect(linear({ dropout: 2 })).toThrow("p must be a probability from 0 to 1, got 2");
  });

  test("kernels that may not be positive are refused where there is a division", () => {
    for (const features of [
      new KernelFeatures({ headDim: 2, kernel: "cos" }),
      new KernelFeatures({ headDim: 2, kernel: "identity" }),
      new KernelFeatures({ headDim: 2, kernel: (x) => x }),
      new PolynomialFeatures({ headDim: 2, degree: 3 }),
      new TensorSketchFeatures({ headDim: 2, degree: 2, numFeatures: 4 }),
    ]) {
      expect(linear({ features })).toThrow(/LinearAttention: the kernel of \w+ may be 0 or below, .* Pass { normalize: false }/);
      expect(linear({ features, normalize: false })).not.toThrow();
    }
  });

  test("options of features are refused by name", () => {
    expect(() => new FavorFeatures({ headDim: 2, eps: -1 })).toThrow("FavorFeatures: eps must be a finite number, 0 or more, got -1");
    expect(() => new FavorFeatures({ headDim: 2, kind: "sine" as never })).toThrow(
      'FavorFeatures: kind must be one of positive, hyperbolic, trigonometric, got "sine"',
    );
    expect(() => new RandomProjection({ headDim: 2, numFeatures: 0 })).toThrow(
      "RandomProjection: numFeatures must be a positive integer, got 0",
    );
    expect(() => new RandomProjection({ headDim: 2, redrawEvery: -1 })).toThrow(
      "RandomProjection: redrawEvery must be a positive integer, got -1",
    );
    expect(() => new RandomProjection({ headDim: 2, rowNorm: "one" as never })).toThrow('rowNorm must be one of chi, sqrt, got "one"');
    expect(() => new KernelFeatures({ headDim: 2, kernel: "tanh" as never })).toThrow(
      'KernelFeatures: kernel must be one of elu1, relu, squaredRelu, exp, cos, identity, or a function, got "tanh"',
    );
    expect(() => new PolynomialFeatures({ headDim: 64, degree: 4 })).toThrow(
      "make 814385 features, more than 65536. Use TensorSketchFeatures.",
    );
    expect(() => new PolynomialFeatures({ headDim: 2, degree: 2, offset: -1 })).toThrow(
      "PolynomialFeatures: offset must be a finite number, 0 or more, got -1",
    );
    expect(() => new SoftmaxPairFeatures({ headDim: 0 })).toThrow("SoftmaxPairFeatures: headDim must be a positive integer, got 0");
    expect(new PolynomialFeatures({ headDim: 3, degree: 2 }).featureDim).toBe(10);
  });

  test("inputs of another shape, and a rotation without positions, are told with the layer's name", () => {
    expect(() => make().forward(randn([2, 3, 11]))).toThrow("PerformerAttention: x must be [batch, length, 12], got [2, 3, 11]");
    const turning = make({ headDim: 8, rotation: new RotaryPositions({ headDim: 8, maxLength: 4 }) });
    expect(() => turning.forward(randn([1, 3, 12]))).toThrow("PerformerAttention: positions are needed for its rotation");
    const keyMask = tensor([[true, false]]);
    expect(() => make().forward(randn([1, 3, 12]), { keyMask })).toThrow("keyMask must be bool [1, 3], got bool [1, 2]");
  });

  test("heads that do not fit are told by name", () => {
    const features = elu();
    const x = (...shape: number[]) => randn(shape);
    const run =
      (q: number[], k: number[], v = k, causal = false) =>
      () =>
        linearAttention({ q: x(...q), k: x(...k), v: x(...v) }, { features, causal });
    expect(run([1, 4, 2], [1, 1, 4, 2])).toThrow("linearAttention: q must be [batch, heads, length, headDim], got [1, 4, 2]");
    expect(run([2, 1, 4, 2], [1, 1, 4, 2])).toThrow("linearAttention: k must be [2, heads, length, headDim], got [1, 1, 4, 2]");
    expect(run([1, 1, 4, 2], [1, 1, 4, 3])).toThrow("linearAttention: k must have the headDim 2 of q, got [1, 1, 4, 3]");
    expect(run([1, 1, 4, 2], [1, 1, 4, 2], [1, 1, 5, 2])).toThrow(
      "linearAttention: v must have the heads and length of k [1, 1, 4, 2], got [1, 1, 5, 2]",
    );
    expect(run([1, 3, 4, 2], [1, 2, 4, 2])).toThrow("linearAttention: the 3 heads of q must be a multiple of the 2 of k");
    expect(run([1, 1, 3, 2], [1, 1, 4, 2], [1, 1, 4, 2], true)).toThrow(
      "causal attention needs as many keys as queries, got 4 and 3. Decode with a LinearState",
    );
    expect(run([1, 1, 4, 3], [1, 1, 4, 3])).toThrow("KernelFeatures: x must be [batch, heads, length, 2], got [1, 1, 4, 3]");
    const ids = tensor([[1, 0, 1, 1]]);
    expect(() => linearAttention({ q: x(1, 1, 4, 2), k: x(1, 1, 4, 2), v: x(1, 1, 4, 2), keyMask: ids }, { features })).toThrow(
      "linearAttention: keyMask must be bool [1, 4], got f32 [1, 4]",
    );
  });
});
