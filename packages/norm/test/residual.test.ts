import { constant, Linear, Module, withTraining } from "@x/nn";
import { Generator, grad, ones, reference, setDefaultDevice, type Tensor, tensor, withGenerator, zeros } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import {
  DeepNorm,
  DropPath,
  deepNormConstants,
  dropPathRates,
  LayerNorm,
  LayerScale,
  layerScaleInit,
  OutputNorm,
  PostNorm,
  PreNorm,
  RMSNorm,
  SandwichNorm,
} from "../src/index.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));

/** x * factor + shift. */
class Affine extends Module {
  forward(x: Tensor, factor = 2, shift = 1): Tensor {
    return x.mul(factor).add(shift);
  }
}
/** A norm of one's own, that cannot add. */
class Halve extends Module {
  forward(x: Tensor): Tensor {
    return x.div(2);
  }
}

const x = () => tensor([[1, 2, 4]]);
// RMS of [1, 2, 4] is sqrt(7), of [4, 7, 13] sqrt(78).
const root = Math.sqrt(7);

describe("PreNorm", () => {
  test("adds x itself, not its norm: x + branch(norm(x))", async () => {
    const block = new PreNorm({ norm: new RMSNorm({ dim: 3 }), branch: new Affine() });
    await expect(block.forward(x())).toBeCloseToTensor([[1 + 2 / root + 1, 2 + 4 / root + 1, 4 + 8 / root + 1]]);
  });

  test("hands on what follows x, and its types", async () => {
    const block = new PreNorm<[factor?: number, shift?: number]>({ norm: new Halve(), branch: new Affine() });
    expect(await block.forward(x(), 10, 5).array()).toEqual([[11, 17, 29]]);
    // @ts-expect-error the factor is a number
    expect(() => block.forward(x(), "10", () => {})).toThrow();
  });
});

describe("PostNorm", () => {
  test("norms the sum of x and the branch of x: norm(x + branch(x))", async () => {
    const block = new PostNorm({ norm: new RMSNorm({ dim: 3 }), branch: new Affine() });
    const norm = Math.sqrt(78);
    await expect(block.forward(x())).toBeCloseToTensor([[4 / norm, 7 / norm, 13 / norm]]);
  });

  test("is the same with a norm that adds in one pass and with one that cannot", async () => {
    const norm = new LayerNorm({ dim: 3 });
    class Plain extends Module {
      readonly inner = norm;
      forward(y: Tensor): Tensor {
        return this.inner.forward(y);
      }
    }
    const branch = new Affine();
    await expect(new PostNorm({ norm, branch }).forward(x())).toBeCloseToTensor(new PostNorm({ norm: new Plain(), branch }).forward(x()));
    expect(await new PostNorm({ norm: new Halve(), branch }).forward(x()).array()).toEqual([[2, 3.5, 6.5]]);
  });
});

test("parameters stand under norm and branch, and errors name them", () => {
  for (const Placement of [PreNorm, PostNorm]) {
    const branch = new Linear({ inputDim: 3, outputDim: 3 });
    const block = new Placement({ norm: new LayerNorm({ dim: 3 }), branch });
    expect([...block.namedParameters().keys()]).toEqual(["norm.weight", "norm.bias", "branch.weight", "branch.bias"]);
  }
  const wrong = new PreNorm({ norm: new LayerNorm({ dim: 3 }), branch: new Linear({ inputDim: 4, outputDim: 3 }) });
  expect(() => wrong.forward(zeros([1, 3]))).toThrow("PreNorm.branch: linear: weight must be [outputs, 3]");
});

test("types: a branch returns a tensor, a norm is a module", () => {
  class Pair extends Module {
    forward(y: Tensor): Tensor[] {
      return [y];
    }
  }
  // @ts-expect-error a branch gives one tensor
  expect(() => new PreNorm({ norm: new Halve(), branch: new Pair() }).forward(x())).toThrow();
  // @ts-expect-error a function is no norm
  new PreNorm({ norm: (y: Tensor) => y, branch: new Affine() });
});

describe("the other placements", () => {
  const branch = () => new Affine();
  const norm = () => new Halve();

  test("OutputNorm: x + norm(branch(x))", async () => {
    expect(await new OutputNorm({ norm: norm(), branch: branch() }).forward(x()).array()).toEqual([[2.5, 4.5, 8.5]]);
  });

  test("SandwichNorm: x + outputNorm(branch(norm(x)))", async () => {
    const block = new SandwichNorm({ norm: norm(), branch: branch(), outputNorm: new RMSNorm({ dim: 3 }) });
    // branch(norm(x)) is [2, 3, 5].
    const rms = Math.sqrt(38 / 3);
    await expect(block.forward(x())).toBeCloseToTensor([[1 + 2 / rms, 2 + 3 / rms, 4 + 5 / rms]]);
  });

  test("DeepNorm: norm(alpha x + branch(x)), in one pass or two", async () => {
    for (const by of [norm(), new LayerNorm({ dim: 3 })]) {
      const expected = by.forward(x().mul(3).add(branch().forward(x())));
      await expect(new DeepNorm({ norm: by, branch: branch(), alpha: 3 }).forward(x())).toBeCloseToTensor(expected);
    }
    expect(() => new DeepNorm({ norm: norm(), branch: branch(), alpha: 0 })).toThrow(
      "DeepNorm: alpha must be a finite number above 0, got 0",
    );
  });

  test("DeepNorm's constants", () => {
    const [alone, pair] = [deepNormConstants({ decoder: 8 }), deepNormConstants({ encoder: 16, decoder: 2 })];
    expect(alone).toEqual({ encoder: undefined, decoder: { alpha: 2, beta: 64 ** -0.25 } });
    expect(deepNormConstants({ encoder: 8 }).encoder).toEqual(alone.decoder);
    // (16^4 * 2)^(1/16) = 2^(17/16).
    expect(pair.encoder!.alpha).toBeCloseTo(0.81 * 2 ** (17 / 16), 12);
    expect(pair.encoder!.beta).toBeCloseTo(0.87 * 2 ** (-17 / 16), 12);
    expect(pair.decoder).toEqual({ alpha: 6 ** 0.25, beta: 24 ** -0.25 });
  });

  test("a thousand layers of DeepNorm stay finite", async () => {
    const { alpha } = deepNormConstants({ decoder: 500 }).decoder!;
    const block = new DeepNorm({ norm: new LayerNorm({ dim: 3 }), branch: branch(), alpha });
    let y = x();
    for (let layer = 0; layer < 1000; layer++) y = block.forward(y);
    for (const value of await y.data()) expect(Math.abs(value)).toBeLessThan(2);
  });
});

describe("LayerScale", () => {
  test("scales the branch by channel, not the stream, and is trained", async () => {
    const scale = new LayerScale({ dim: 3, init: () => [1, 10, 100] });
    const block = new PreNorm({ norm: new Halve(), branch: new Affine(), layerScale: scale });
    expect(await block.forward(x()).array()).toEqual([[3, 32, 504]]);
    // The branch gives [2, 3, 5].
    expect(await grad(() => block.forward(x()).sum(), scale.lambda).array()).toEqual([2, 3, 5]);
    expect([...block.namedParameters().keys()]).toEqual(["layerScale.lambda"]);
  });

  test("begins by depth", () => {
    expect([18, 19, 24, 25].map(layerScaleInit)).toEqual([0.1, 1e-5, 1e-5, 1e-6]);
    expect(new LayerScale({ dim: 2, init: constant(0.5) }).lambda.shape).toEqual([2]);
  });
});

describe("DropPath", () => {
  const rows = 2000;
  const drawn = (run: () => Tensor) => withGenerator(new Generator({ seed: 3, device }), () => withTraining(true, run));

  test("leaves out whole rows of a batch while training, and scales the others", async () => {
    const y = (await drawn(() => new DropPath({ p: 0.25 }).forward(ones([rows, 2, 2]))).array()) as number[][][];
    for (const row of y) expect(new Set(row.flat()).size).toBe(1);
    const kept = y.filter((row) => row[0]![0] !== 0);
    for (const row of kept) expect(row[0]![0]).toBeCloseTo(4 / 3, 6);
    expect(Math.abs(kept.length / rows - 0.75)).toBeLessThan(0.04);
  });

  test("passes otherwise, and of everything nothing is left", async () => {
    const y = ones([2, 3]);
    expect(new DropPath({ p: 0.9 }).forward(y)).toBe(y);
    expect(await drawn(() => new DropPath({ p: 1 }).forward(ones([1, 2]))).array()).toEqual([[0, 0]]);
    expect(() => new DropPath({ p: 1.5 })).toThrow("DropPath: p must be a probability from 0 to 1, got 1.5.");
  });

  test("comes after the scale and before the stream; its rate grows with depth", async () => {
    const block = new PreNorm({
      norm: new Halve(),
      branch: new Affine(),
      layerScale: new LayerScale({ dim: 3 }),
      dropPath: new DropPath({ p: 1 }),
    });
    expect(await drawn(() => block.forward(x())).array()).toEqual([[1, 2, 4]]);
    expect(dropPathRates(3, 0.2)).toEqual([0, 0.1, 0.2]);
    expect(dropPathRates(1, 0.2)).toEqual([0.2]);
  });
});
