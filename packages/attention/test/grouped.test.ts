import { RMSNorm } from "@x/norm";
import { Generator, randn, reference, setDefaultDevice, withGenerator } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, expect, test } from "vitest";
import { type AttentionOptions, copyAsGrouped, SelfAttention } from "../src/index.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));

const make = (numKvHeads: number, seed: number, options: Partial<AttentionOptions> = {}) =>
  withGenerator(new Generator({ seed, device }), () => new SelfAttention({ dim: 12, numHeads: 4, numKvHeads, causal: true, ...options }));

test("each head of keys and values is the mean of those it replaces", async () => {
  const [from, to] = [make(4, 1), make(2, 2)];
  copyAsGrouped(from, to);
  const mean = (x: Float32Array, width: number) =>
    Array.from({ length: 6 * width }, (_, at) => {
      const [head, row, column] = [Math.floor(at / (3 * width)), Math.floor(at / width) % 3, at % width];
      const of = (h: number) => x[(3 * h + row) * width + column]!;
      return (of(2 * head) + of(2 * head + 1)) / 2;
    });
  for (const part of ["key", "value"] as const) {
    await expect(to[part].weight.value.reshape([-1])).toBeCloseToTensor(mean((await from[part].weight.data()) as Float32Array, 12));
    await expect(to[part].bias!.value).toBeCloseToTensor(mean((await from[part].bias!.data()) as Float32Array, 1));
  }
  for (const part of ["query", "output"] as const) expect(await to[part].weight.data()).toEqual(await from[part].weight.data());
});

test("heads that were alike pool into what computes the same", async () => {
  const [shared, all, back] = [
    make(2, 3, { queryNorm: new RMSNorm({ dim: 3 }) }),
    make(4, 4, { queryNorm: new RMSNorm({ dim: 3 }) }),
    make(2, 5, { queryNorm: new RMSNorm({ dim: 3 }) }),
  ];
  const source = shared.namedParameters();
  for (const [name, cell] of all.namedParameters()) {
    const x = source.get(name)!.value;
    const rest = x.shape.slice(1);
    cell.set(
      /^(key|value)\./.test(name)
        ? x
            .reshape([2, 1, 3, ...rest])
            .expand([2, 2, 3, ...rest])
            .reshape(cell.shape)
        : x,
    );
  }
  const x = randn([2, 5, 12]);
  for (const mode of ["mean", "first"] as const) {
    copyAsGrouped(all, back, { mode });
    await expect(back.forward(x)).toBeCloseToTensor(all.forward(x), { atol: 1e-6, rtol: 1e-5 });
  }
});

test("refuses layers that do not fit", () => {
  expect(() => copyAsGrouped(make(2, 1), make(4, 1))).toThrow("copyAsGrouped: 2 heads of keys cannot be pooled into 4. Choose a divisor.");
  expect(() => copyAsGrouped(make(4, 1), make(4, 1, { headDim: 5 }))).toThrow("the same heads of queries, got 4 of 3 and 4 of 5");
  expect(() => copyAsGrouped(make(4, 1, { bias: false }), make(2, 1))).toThrow("query.bias of the second layer is not in the first");
});
