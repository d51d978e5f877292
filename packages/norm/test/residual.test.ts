import { Linear, Module } from "@x/nn";
import { reference, setDefaultDevice, type Tensor, tensor, zeros } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { LayerNorm, PostNorm, PreNorm, RMSNorm } from "../src/index.ts";

expect.extend(tensorMatchers);
beforeAll(() => setDefaultDevice(reference()));

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
