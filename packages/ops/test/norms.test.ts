import { grad, reference, type Shape, setDefaultDevice, sizeOf, Tensor, tensor } from "@x/tensor";
import { compareArrays, Stream } from "@x/testing";
import { beforeAll, describe, expect, test } from "vitest";
import { addLayerNorm, addRmsNorm, layerNorm, rmsNorm } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const draw = (name: string, shape: Shape): Tensor => tensor(new Stream(name).normal(sizeOf(shape)), { shape, dtype: "f64" });

async function expectClose(actual: Tensor, expected: Tensor, tolerance = 1e-12): Promise<void> {
  const comparison = compareArrays(await actual.data(), await expected.data(), { atol: tolerance, rtol: tolerance, shape: expected.shape });
  expect(comparison.pass, comparison.report()).toBe(true);
}

describe.each([
  ["addLayerNorm", addLayerNorm, layerNorm],
  ["addRmsNorm", addRmsNorm, rmsNorm],
] as const)("%s is the sum, then the norm:", (_, fused, norm) => {
  const given = { x: () => draw("x", [3, 2, 7]), residual: () => draw("residual", [3, 2, 7]), weight: () => draw("weight", [7]) };

  test("values", async () => {
    const [x, residual, weight] = [given.x(), given.residual(), given.weight()];
    const { y, sum } = fused({ x, residual, weight });
    await expectClose(sum, x.add(residual));
    await expectClose(y, norm({ x: x.add(residual), weight }));
  });

  test("gradients, with both results used", async () => {
    const all = { x: given.x(), residual: given.residual(), weight: given.weight() };
    const made = grad(() => {
      const { y, sum } = fused(all);
      return y.square().sum().add(sum.exp().sum());
    }, all);
    const expected = grad(() => {
      const sum = all.x.add(all.residual);
      return norm({ x: sum, weight: all.weight }).square().sum().add(sum.exp().sum());
    }, all);
    for (const name of ["x", "residual", "weight"] as const) await expectClose(made[name], expected[name]);
  });
});

test("layerNorm of f32 numbers near 1e4 keeps their variance: mean(x^2) - mean^2 would not", async () => {
  const x = draw("x", [4, 64]).add(1e4).cast("f32");
  await expectClose(layerNorm({ x }).cast("f64"), layerNorm({ x: x.cast("f64") }), 2e-3);
});

test("layerNorm divides by the biased deviation", async () => {
  const y = await layerNorm({ x: tensor([-1, 1]) }, { eps: 0 }).data();
  expect([...y]).toEqual([-1, 1]);
});

test("a constant row gives the bias, and finite gradients", async () => {
  const [x, weight, bias] = [tensor([[3, 3, 3]]), tensor([1, 2, 3]), tensor([7, 8, 9])];
  expect(await layerNorm({ x, weight, bias }).array()).toEqual([[7, 8, 9]]);
  const gradient = grad(() => layerNorm({ x, weight, bias }).square().sum(), x);
  expect((await gradient.data()).every(Number.isFinite)).toBe(true);
});

test("rmsNorm of zeros gives zeros, and finite gradients", async () => {
  const x = tensor([[0, 0, 0]]);
  expect(await rmsNorm({ x }).array()).toEqual([[0, 0, 0]]);
  expect((await grad(() => rmsNorm({ x }).sum(), x).data()).every(Number.isFinite)).toBe(true);
});

test("squares of f16 numbers of 6e4 do not overflow", async () => {
  const x = tensor([[6e4, -6e4, 3e4, 1]], { dtype: "f16" });
  const y = [...(await rmsNorm({ x }).data())];
  expect(y.every(Number.isFinite)).toBe(true);
  expect(y[0]).toBeGreaterThan(1);
});

test("rmsNorm rounds to bf16 before the weight multiplies, as Llama does", async () => {
  const x = draw("x", [64, 8]).cast("bf16");
  const weight = draw("weight", [8]).cast("bf16");
  const wide = x.cast("f32");
  const inverse = wide.square().mean(-1, { keepDims: true }).add(1e-6).rsqrt();
  const llama = wide.mul(inverse).cast("bf16").mul(weight);
  const gemma = wide.mul(inverse).mul(weight.cast("f32")).cast("bf16");
  const y = await rmsNorm({ x, weight }).data();
  expect([...y]).toEqual([...(await llama.data())]);
  expect([...y]).not.toEqual([...(await gemma.data())]);
});

test("statistics of many rows do not mix: each row equals itself alone", async () => {
  const x = draw("x", [5, 9]);
  const alone = [0, 1, 2, 3, 4].map((i) => layerNorm({ x: x.slice(0, i, i + 1) }));
  await expectClose(layerNorm({ x }), Tensor.concat(alone, 0));
});
