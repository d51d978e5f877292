import { afterAll, describe, expect, test } from "vitest";
import { activations } from "../src/abi.ts";
import { Bench, expectClose, values } from "./harness.ts";

const bench = new Bench({ threads: 1 });
afterAll(() => bench.close());

interface Case {
  m: number;
  n: number;
  k: number;
  transposeA?: boolean;
  transposeB?: boolean;
  packed?: boolean;
  activation?: number;
  alpha?: number;
  beta?: number;
  fused?: boolean;
  batch?: number;
  mTile?: number;
  nTile?: number;
}

const gelu = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const activate = [(x: number) => x, (x: number) => Math.max(0, x), undefined, gelu, (x: number) => x / (1 + Math.exp(-x))];

function run(on: Bench, c: Case): { c: Float32Array; pre: Float32Array; expected: number[]; expectedPre: number[] } {
  const { m, n, k, batch = 1, alpha = 1, beta = 0, activation = 0 } = c;
  const [a, b, old] = [values(batch * m * k, 1), values(batch * k * n, 2), values(batch * m * n, 3)];
  const [bias, residual] = [values(n, 4), values(batch * m * n, 5)];
  const panels = Math.ceil(n / 8);
  const strides = {
    ...{ bRow: c.transposeB ? 1 : n, bCol: c.transposeB ? k : 1, bInner: k * n, bOuter: 0 },
    ...{ aRow: c.transposeA ? 1 : k, aCol: c.transposeA ? m : 1, aInner: m * k, aOuter: 0 },
  };
  let right = on.put(b);
  if (c.packed) {
    const packed = on.out(batch * panels * 8 * k);
    on.run("pack_b", { packed, b: right, inner: batch, n, k, ...strides }, batch * panels);
    right = packed;
    strides.bInner = panels * 8 * k;
  }
  const { mTile = 24, nTile = 16 } = c;
  const out = on.put(old);
  const pre = on.out(batch * m * n);
  const extra = c.fused ? { bias: on.put(bias), residual: on.put(residual), pre } : {};
  on.run(
    "gemm",
    {
      ...{ c: out, a: on.put(a), b: right, inner: batch, m, n, k, mTile, nTile, packed: c.packed ? 1 : 0, activation, alpha, beta },
      ...{ ...strides, cRow: n, cOuter: 0, cInner: m * n, ...extra },
    },
    batch * Math.ceil(m / mTile) * Math.ceil(n / nTile),
  );
  const expected: number[] = [];
  const expectedPre: number[] = [];
  for (let s = 0; s < batch; s++)
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let t = 0; t < k; t++)
          sum += a[s * m * k + i * strides.aRow + t * strides.aCol]! * b[s * k * n + t * strides.bRow + j * strides.bCol]!;
        const at = s * m * n + i * n + j;
        const x = alpha * sum + (beta ? beta * old[at]! : 0) + (c.fused ? bias[j]! : 0);
        expectedPre.push(x);
        expected.push(activate[activation]!(x) + (c.fused ? residual[at]! : 0));
      }
  return { c: on.f32(out, batch * m * n), pre: on.f32(pre, batch * m * n), expected, expectedPre };
}

describe("gemm", () => {
  for (const [m, n, k] of [
    [1, 1, 1],
    [6, 8, 4],
    [7, 9, 5],
    [13, 17, 31],
    [24, 16, 8],
    [25, 40, 3],
    [5, 3, 1100],
    [100, 24, 530],
  ] as const)
    for (const [transposeA, transposeB] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const)
      for (const packed of [false, true])
        test(`${m}x${n}x${k}${transposeA ? " A^T" : ""}${transposeB ? " B^T" : ""}${packed ? " packed" : ""}`, () => {
          const result = run(bench, { m, n, k, transposeA, transposeB, packed });
          expectClose(result.c, result.expected);
        });
  test("epilogue: alpha, beta, bias, activation, residual, pre-activation", () => {
    for (const activation of [activations.identity, activations.relu, activations.geluTanh, activations.silu])
      for (const k of [9, 700]) {
        const result = run(bench, { m: 11, n: 21, k, activation, alpha: 0.5, beta: 0.25, fused: true });
        expectClose(result.c, result.expected);
        expectClose(result.pre, result.expectedPre);
      }
  });
  test("a batch, and no terms at all", () => {
    for (const packed of [false, true]) {
      const result = run(bench, { m: 7, n: 10, k: 6, batch: 3, packed });
      expectClose(result.c, result.expected);
    }
    const empty = run(bench, { m: 3, n: 4, k: 0 });
    expect([...empty.c]).toEqual(Array(12).fill(0));
  });
  test("beta 0 does not read what was there, and an infinity stays one", () => {
    const [m, n, k] = [2, 2, 2];
    const c = bench.put(new Float32Array(4).fill(Number.NaN));
    const a = bench.put(Float32Array.of(Number.POSITIVE_INFINITY, 1, 1, 1));
    const b = bench.put(Float32Array.of(1, 1, 1, 1));
    bench.run(
      "gemm",
      {
        ...{ c, a, b, inner: 1, m, n, k, mTile: 6, nTile: 8, packed: 0, activation: 0, alpha: 1, beta: 0, aRow: k, aCol: 1, aOuter: 0 },
        ...{ aInner: 0, bRow: n, bCol: 1, bOuter: 0, bInner: 0, cRow: n, cOuter: 0, cInner: 0 },
      },
      1,
    );
    expect([...bench.f32(c, 4)]).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 2, 2]);
  });
  test("two threads and both builds: the same bits, the same values", () => {
    const one = run(bench, { m: 97, n: 67, k: 129 });
    const pair = new Bench({ threads: 2 });
    const plain = new Bench({ threads: 1, build: "mul" });
    for (let round = 0; round < 20; round++) expect(run(pair, { m: 97, n: 67, k: 129 }).c).toEqual(one.c);
    expectClose(run(plain, { m: 97, n: 67, k: 129 }).c, one.expected);
    pair.close();
    plain.close();
  });
});

describe("gemv", () => {
  for (const [m, n, k] of [
    [1, 1, 1],
    [1, 5, 3],
    [2, 16, 7],
    [4, 37, 65],
    [1, 100, 4],
  ] as const)
    for (const [transposed, packed] of [
      [false, 0],
      [true, 0],
      [false, 1],
      [true, 1],
    ] as const)
      test(`${m}x${n}x${k}${transposed ? " W^T" : ""}${packed ? " in panels" : ""}`, () => {
        const [x, w, bias, residual] = [values(m * k, 1), values(k * n, 2), values(n, 3), values(m * n, 4)];
        const [y, pre] = [bench.out(m * n), bench.out(m * n)];
        const columns = 16;
        const [wRow, wCol] = transposed ? [1, k] : [n, 1];
        const [asGiven, panels] = [bench.put(w), bench.out(Math.ceil(n / 8) * 8 * k)];
        const strides = { bRow: wRow, bCol: wCol, bInner: 0, bOuter: 0 };
        if (packed) bench.run("pack_b", { packed: panels, b: asGiven, inner: 1, n, k, ...strides }, Math.ceil(n / 8));
        const pointers = { y, pre, x: bench.put(x), w: packed ? panels : asGiven, bias: bench.put(bias), residual: bench.put(residual) };
        const sizes = { m, n, k, wRow, wCol, xRow: k, yRow: n, columns, packed };
        bench.run("gemv", { ...pointers, ...sizes, activation: 4, alpha: 2 }, Math.ceil(n / columns));
        const expected: number[] = [];
        for (let i = 0; i < m * n; i++) {
          let sum = bias[i % n]!;
          for (let t = 0; t < k; t++) sum += 2 * x[Math.floor(i / n) * k + t]! * w[t * wRow + (i % n) * wCol]!;
          expected.push(sum / (1 + Math.exp(-sum)) + residual[i]!);
        }
        expectClose(bench.f32(y, m * n), expected);
      });
});
