import { type Shape, type Tensor, tensor } from "@x/tensor";
import { gradcheck } from "@x/testing";
import { describe, test } from "vitest";
import * as ops from "../src/index.ts";

/** Against central differences, for standard normal inputs: gradients and their gradients. */
const check = (fn: (inputs: Readonly<Record<string, Tensor>>) => readonly Tensor[], shapes: Readonly<Record<string, Shape>>) =>
  gradcheck(fn, Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { shape }])), { order: 2 });

const targets = () => tensor(Int32Array.of(2, -100, 0));

describe("gradients equal central differences, and so do second derivatives:", () => {
  test.each([
    ["relu", ops.relu],
    ["gelu", ops.gelu],
    ["geluTanh", ops.geluTanh],
    ["silu", ops.silu],
  ] as const)("%s", (_, op) => check(({ x }) => [op({ x: x! })], { x: [3, 5] }));

  test("swiglu", () => check(({ gate, up }) => [ops.swiglu({ gate: gate!, up: up! })], { gate: [2, 4], up: [2, 4] }));

  test.each([-1, 0])("softmax along axis %i", (axis) => check(({ x }) => [ops.softmax({ x: x! }, { axis })], { x: [3, 4] }));
  test.each([-1, 0])("logSoftmax along axis %i", (axis) => check(({ x }) => [ops.logSoftmax({ x: x! }, { axis })], { x: [3, 4] }));

  test("layerNorm", () =>
    check(({ x, weight, bias }) => [ops.layerNorm({ x: x!, weight, bias }, { eps: 0.1 })], { x: [3, 5], weight: [5], bias: [5] }));
  test("layerNorm without weight and bias", () => check(({ x }) => [ops.layerNorm({ x: x! })], { x: [2, 2, 4] }));
  test("rmsNorm", () => check(({ x, weight }) => [ops.rmsNorm({ x: x!, weight }, { eps: 0.1 })], { x: [3, 5], weight: [5] }));
  test("rmsNorm without a weight", () => check(({ x }) => [ops.rmsNorm({ x: x! })], { x: [2, 4] }));

  test.each([4, 8] as const)("quantizedLinear of %i bits", (bits) => {
    const { weight, scales, zeros } = ops.quantize([3, -1, 2, 0.5, 1, -2], { outputs: 2, inputs: 3 }, { bits, group: 32 });
    const coded = () => ({
      weight: tensor(weight, { shape: [2, 4 * bits], dtype: "u8" }),
      scales: tensor(scales, { shape: [2, 1] }),
      zeros: tensor(zeros, { shape: [2, 1], dtype: "u8" }),
    });
    return check(({ x, bias }) => [ops.quantizedLinear({ ...coded(), x: x!, bias }, { bits, group: 32 })], { x: [2, 3], bias: [2] });
  });

  test("addLayerNorm", () =>
    check(
      ({ x, residual, weight, bias }) => {
        const { y, sum } = ops.addLayerNorm({ x: x!, residual: residual!, weight, bias });
        return [y, sum];
      },
      { x: [2, 4], residual: [2, 4], weight: [4], bias: [4] },
    ));
  test("addLayerNorm of which only the sum is used", () =>
    check(({ x, residual }) => [ops.addLayerNorm({ x: x!, residual: residual! }).sum], { x: [2, 4], residual: [2, 4] }));
  test("addRmsNorm", () =>
    check(
      ({ x, residual, weight }) => {
        const { y, sum } = ops.addRmsNorm({ x: x!, residual: residual!, weight });
        return [y, sum];
      },
      { x: [2, 4], residual: [2, 4], weight: [4] },
    ));
  test("addRmsNorm of which only the norm is used", () =>
    check(({ x, residual }) => [ops.addRmsNorm({ x: x!, residual: residual! }).y], { x: [2, 4], residual: [2, 4] }));

  test.each(["none", "relu", "gelu", "geluTanh", "silu"] as const)("linear with %s", (activation) =>
    check(({ x, weight, bias, residual }) => [ops.linear({ x: x!, weight: weight!, bias, residual }, { activation })], {
      x: [2, 2, 3],
      weight: [4, 3],
      bias: [4],
      residual: [2, 2, 4],
    }),
  );
  test("linear of a vector", () => check(({ x, weight }) => [ops.linear({ x: x!, weight: weight! })], { x: [3], weight: [2, 3] }));
  test("linearBackwardWeights", () =>
    check(
      ({ x, dy }) => {
        const { weight, bias } = ops.linearBackwardWeights({ x: x!, dy: dy! });
        return [weight, bias];
      },
      { x: [2, 2, 3], dy: [2, 2, 4] },
    ));

  test("crossEntropy with an ignored target", () =>
    check(({ logits }) => [ops.crossEntropy({ logits: logits!, targets: targets() })], { logits: [3, 4] }));
  test("meanCrossEntropy", () => check(({ logits }) => [ops.meanCrossEntropy(logits!, targets())], { logits: [3, 4] }));

  test("embedding", () =>
    check(({ table }) => [ops.embedding({ table: table!, indices: tensor(Int32Array.of(1, 3, 1), { shape: [3] }) }).square()], {
      table: [4, 2],
    }));

  test.each([[{}], [{ interleaved: true }], [{ inverse: true }], [{ interleaved: true, inverse: true }]])("rope %o", (attrs) => {
    return check(
      ({ x }) => {
        const angles = tensor([0.1, 0.5, 1, 2, 0.7, 3], { shape: [3, 2], dtype: "f64" });
        const positions = tensor(Int32Array.of(2, 0));
        return [ops.rope({ x: x!, cos: angles.cos(), sin: angles.sin(), positions }, attrs).square()];
      },
      { x: [2, 1, 2, 5] },
    );
  });

  test("sumOfSquares", () => check(({ a, b }) => [ops.sumOfSquares({ xs: [a!, b!] })], { a: [3], b: [2, 2] }));
  test("globalNorm", () => check(({ a, b }) => [ops.globalNorm([a!, b!])], { a: [3], b: [2, 2] }));
});

describe("gradients of attention equal central differences, and so do second derivatives:", () => {
  const cases = [
    { name: "dense, values wider than keys", q: [1, 2, 3, 2], k: [1, 2, 4, 2], v: [1, 2, 4, 3], causal: false },
    { name: "causal, grouped heads", q: [1, 4, 3, 2], k: [1, 2, 3, 2], v: [1, 2, 3, 2], causal: true },
    { name: "causal, fewer queries than keys", q: [1, 1, 2, 2], k: [1, 1, 4, 2], v: [1, 1, 4, 2], causal: true },
    { name: "causal, rows that see nothing", q: [1, 1, 4, 2], k: [1, 1, 2, 2], v: [1, 1, 2, 2], causal: true },
    {
      name: "padded, an entry without keys",
      q: [3, 1, 2, 2],
      k: [3, 1, 3, 2],
      v: [3, 1, 3, 2],
      causal: false,
      keyMask: [0, 1, 1, 1, 0, 1, 0, 0, 0],
    },
  ];
  test.each(cases)("$name", ({ q, k, v, causal, keyMask }) =>
    check(
      (inputs) => {
        const { q: query, k: key, v: value } = inputs as Record<"q" | "k" | "v", (typeof inputs)[string]>;
        const mask = keyMask && tensor(keyMask, { shape: [3, 3], dtype: "bool" });
        return [ops.attention({ q: query, k: key, v: value, keyMask: mask }, { scale: 0.7, causal })];
      },
      { q, k, v },
    ),
  );

  const variants: readonly { name: string; q: Shape; k: Shape; bias?: Shape; pattern?: ops.Pattern; attrs?: object }[] = [
    { name: "a map with repeats", q: [1, 1, 3, 2], k: [1, 1, 4, 2], pattern: ops.blocks([[0], [0, 0], [1, 1, 0], [0]], { size: 2 }) },
    { name: "a map for a row that sees nothing", q: [1, 2, 3, 2], k: [1, 1, 2, 2], pattern: ops.causal() },
    { name: "a bias, clamped", q: [2, 2, 3, 2], k: [2, 1, 4, 2], bias: [2, 3] },
    { name: "a bias, causal, a soft cap", q: [1, 1, 2, 2], k: [1, 1, 4, 2], bias: [1, 5], attrs: { causal: true, softcap: 1.2 } },
    { name: "a soft cap", q: [1, 2, 3, 2], k: [1, 2, 3, 2], attrs: { softcap: 0.9 } },
    { name: "dropout", q: [1, 2, 3, 2], k: [1, 1, 4, 2], bias: [2, 3], attrs: { dropout: 0.4, ordinal: 2, softcap: 2 } },
  ];
  test.each(variants)("$name", ({ q, k, bias, pattern, attrs = {} }) =>
    check(
      (inputs) => {
        const given = inputs as Record<"q" | "k" | "v", Tensor> & { bias?: Tensor };
        const map = pattern && ops.blockMap(pattern, { queries: q[2]!, keys: k[2]! });
        return [ops.attention({ ...given, map, key: tensor(Uint32Array.of(1, 2, 3, 4)) }, { scale: 0.7, ...attrs })];
      },
      { q, k, v: k, ...(bias && { bias }) },
    ),
  );

  test("decodeAttention", () =>
    check(({ q, k, v }) => [ops.decodeAttention({ q: q!, k: k!, v: v!, lengths: tensor(Int32Array.of(2, 4)) }, { scale: 0.6 })], {
      q: [2, 2, 2, 3],
      k: [2, 1, 5, 3],
      v: [2, 1, 5, 2],
    }));
  test("writeRows", () =>
    check(({ cache, x }) => [ops.writeRows({ cache: cache!, x: x!, starts: tensor(Int32Array.of(1, 3)) }).square()], {
      cache: [2, 1, 4, 2],
      x: [2, 1, 2, 2],
    }));
});
