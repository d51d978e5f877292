import { grad, randn, reference, setDefaultDevice, tensor, valueAndGrad } from "@x/tensor";
import { expect, test } from "vitest";
import * as ops from "../src/index.ts";

test("smoke", async () => {
  setDefaultDevice(reference());
  const x = randn([2, 3, 4]);
  const w = randn([5, 4]);
  const { gradients } = valueAndGrad(() => ops.linear({ x, weight: w }, { activation: "geluTanh" }).sum(), [x, w]);
  expect(gradients[1]!.shape).toEqual([5, 4]);
  const q = randn([2, 6, 3, 8]),
    k = randn([2, 2, 5, 8]),
    v = randn([2, 2, 5, 7]);
  const g = grad(
    () =>
      grad(() => ops.attention({ q, k, v }, { scale: 0.3, causal: true }).square().sum(), q)
        .square()
        .sum(),
    [q, k, v],
  );
  expect((await g[2]!.data()).every(Number.isFinite)).toBe(true);
  const loss = ops.meanCrossEntropy(randn([4, 7]), tensor(Int32Array.of(1, 2, -100, 3)));
  expect(Number.isFinite(await loss.item())).toBe(true);
  const n = ops.addLayerNorm({ x, residual: x }, {});
  expect(n.y.shape).toEqual([2, 3, 4]);
});
