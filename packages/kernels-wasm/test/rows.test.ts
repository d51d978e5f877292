import { afterAll, describe, expect, test } from "vitest";
import { Bench, expectClose, values } from "./harness.ts";

const bench = new Bench({ threads: 1 });
afterAll(() => bench.close());
const lengths = [1, 2, 3, 4, 5, 7, 8, 13, 64, 257];
const rowsOf = (data: ArrayLike<number>, n: number) =>
  Array.from({ length: data.length / n }, (_, r) => Array.from({ length: n }, (_, i) => data[r * n + i]!));
const sum = (xs: number[]) => xs.reduce((total, x) => total + x, 0);

describe("softmax", () => {
  const softmax = (x: number[]) => {
    const e = x.map((v) => Math.exp(v - Math.max(...x)));
    return e.map((v) => v / sum(e));
  };
  for (const n of lengths)
    for (const log of [0, 1])
      test(`${log ? "log, " : ""}rows of ${n}, forward and backward`, () => {
        const rows = 3;
        const [x, dy] = [values(rows * n, n, 10), values(rows * n, n + 1)];
        const [y, dx] = [bench.out(rows * n), bench.out(rows * n)];
        bench.run("softmax", { y, x: bench.put(x), n, log }, rows);
        bench.run("softmax_grad", { dx, y, dy: bench.put(dy), n, log }, rows);
        const p = rowsOf(x, n).map(softmax);
        const up = rowsOf(dy, n);
        expectClose(
          bench.f32(y, rows * n),
          p.flat().map((v) => (log ? Math.log(v) : v)),
          1e-6,
        );
        const grads = p.map((row, r) => {
          const dot = sum(row.map((v, i) => v * up[r]![i]!));
          return row.map((v, i) => (log ? up[r]![i]! - v * sum(up[r]!) : v * (up[r]![i]! - dot)));
        });
        expectClose(bench.f32(dx, rows * n), grads.flat(), 1e-6, "gradient", log ? n : 1);
      });
  test("large scores, minus infinity, and NaN", () => {
    const [y, n] = [bench.out(10), 5];
    const x = Float32Array.of(1e30, 1e30, 0, Number.NEGATIVE_INFINITY, -1e30, 1, 2, Number.NaN, 3, 4);
    bench.run("softmax", { y, x: bench.put(x), n, log: 0 }, 2);
    expect([...bench.f32(y, 5)]).toEqual([0.5, 0.5, 0, 0, 0]);
    expect([...bench.f32(y, 10)].slice(5).every(Number.isNaN)).toBe(true);
  });
});

describe("norms", () => {
  for (const n of lengths)
    for (const centered of [1, 0])
      test(`${centered ? "layer" : "RMS"} norm of ${n}: residual, statistics, all gradients`, () => {
        const [rows, eps, weightOffset, chunk] = [7, 1e-5, centered ? 0 : 1, 3];
        const [x, residual, weight, bias] = [values(rows * n, 1), values(rows * n, 2), values(n, 3), values(n, 4)];
        const [dy, dsum] = [values(rows * n, 5), values(rows * n, 6)];
        const [y, total, mean, inverse, dx] = [rows * n, rows * n, rows, rows, rows * n].map((size) => bench.out(size)) as [
          number,
          number,
          number,
          number,
          number,
        ];
        const w = bench.put(weight);
        const inputs = { x: bench.put(x), residual: bench.put(residual), weight: w, bias: bench.put(bias) };
        bench.run("norm", { ...inputs, y, sum: total, mean, inverse, n, centered, eps, weightOffset }, rows);
        const up = bench.put(dy);
        const statistics = { x: total, dy: up, mean, inverse };
        bench.run("norm_grad", { ...statistics, dx, weight: w, dsum: bench.put(dsum), n, centered, weightOffset }, rows);
        const chunks = Math.ceil(rows / chunk);
        const [partial, dw] = [bench.out(chunks * 2 * n), bench.out(2 * n)];
        bench.run("norm_weight_grad", { ...statistics, partial, rows, n, chunk, parts: 2 }, chunks);
        bench.run("reduce_f32", { out: dw, x: partial, n: chunks, inner: 2 * n, columns: 8, op: 0 }, Math.ceil((2 * n) / 8));

        const s = rowsOf(
          x.map((v, i) => v + residual[i]!),
          n,
        );
        const stats = s.map((row) => {
          const m = centered ? sum(row) / n : 0;
          return { m, inv: 1 / Math.sqrt(sum(row.map((v) => (v - m) ** 2)) / n + eps) };
        });
        const normal = s.map((row, r) => row.map((v) => (v - stats[r]!.m) * stats[r]!.inv));
        const g = rowsOf(dy, n).map((row) => row.map((v, i) => v * (weight[i]! + weightOffset)));
        const tolerance = 1e-5;
        expectClose(
          bench.f32(y, rows * n),
          normal.flatMap((row) => row.map((v, i) => v * (weight[i]! + weightOffset) + bias[i]!)),
          tolerance,
        );
        expectClose(bench.f32(total, rows * n), s.flat());
        expectClose(
          bench.f32(inverse, rows),
          stats.map((v) => v.inv),
          tolerance,
        );
        const grads = g.flatMap((row, r) => {
          const [a, b] = [centered ? sum(row) / n : 0, sum(row.map((v, i) => v * normal[r]![i]!)) / n];
          return row.map((v, i) => stats[r]!.inv * (v - a - normal[r]![i]! * b) + dsum[r * n + i]!);
        });
        // With one element per row the exact gradient is 0 times 1 / sqrt(eps): only rounding is left.
        expectClose(bench.f32(dx, rows * n), grads, n === 1 ? 1e-3 : 1e-4);
        const dWeight = Array.from({ length: n }, (_, i) => sum(normal.map((row, r) => row[i]! * dy[r * n + i]!)));
        const dBias = Array.from({ length: n }, (_, i) => sum(normal.map((_, r) => dy[r * n + i]!)));
        expectClose(bench.f32(dw, 2 * n), [...dWeight, ...dBias], tolerance);
      });
  test("a mean far above the deviation, and a constant row", () => {
    const n = 1000;
    const x = values(n, 9).map((v) => v + 1e4);
    const y = bench.out(2 * n);
    const rows = new Float32Array(2 * n);
    rows.set(x);
    rows.fill(3, n);
    bench.run("norm", { y, x: bench.put(rows), n, centered: 1, eps: 1e-12 }, 2);
    const m = sum([...x]) / n;
    const inv = 1 / Math.sqrt(sum([...x].map((v) => (v - m) ** 2)) / n);
    expectClose(
      bench.f32(y, n),
      [...x].map((v) => (v - m) * inv),
      2e-3,
    );
    expect([...bench.f32(y + 4 * n, n)].every((v) => v === 0)).toBe(true);
  });
});

describe("cross-entropy", () => {
  for (const n of lengths)
    test(`${n} classes, an ignored row, upstream of the loss and of the log-sum-exp`, () => {
      const [rows, ignore] = [5, -100];
      const x = values(rows * n, n, 5);
      const targets = Int32Array.from({ length: rows }, (_, r) => (r === 2 ? ignore : (r * 7) % n));
      const [up, upLse] = [values(rows, 3), values(rows, 4)];
      const [loss, lse, dlogits] = [bench.out(rows), bench.out(rows), bench.out(rows * n)];
      const inputs = { logits: bench.put(x), targets: bench.put(targets), n, ignore };
      bench.run("cross_entropy", { ...inputs, loss, lse }, rows);
      bench.run("cross_entropy_grad", { ...inputs, lse, dlogits, dloss: bench.put(up), dlse: bench.put(upLse) }, rows);
      const logSums = rowsOf(x, n).map((row) => Math.log(sum(row.map(Math.exp))));
      expectClose(bench.f32(lse, rows), logSums);
      expectClose(
        bench.f32(loss, rows),
        logSums.map((v, r) => (r === 2 ? 0 : v - x[r * n + targets[r]!]!)),
        1e-6,
      );
      const grads = rowsOf(x, n).flatMap((row, r) =>
        row.map((v, i) => Math.exp(v - logSums[r]!) * ((r === 2 ? 0 : up[r]!) + upLse[r]!) - (r !== 2 && i === targets[r] ? up[r]! : 0)),
      );
      expectClose(bench.f32(dlogits, rows * n), grads, 2e-6);
    });
});

describe("rope", () => {
  for (const interleaved of [0, 1])
    test(`${interleaved ? "neighbours" : "halves"}: strided, partial, positions clamped, inverse undoes it`, () => {
      const [batch, heads, rows, dim, rotary, length] = [2, 3, 4, 14, 10, 6];
      const half = rotary / 2;
      const x = values(batch * rows * heads * dim, 1);
      const angle = Float32Array.from({ length: length * half }, (_, i) => i * 0.37);
      const tables = { cos: bench.put(angle.map(Math.cos)), sin: bench.put(angle.map(Math.sin)) };
      const places = Int32Array.of(5, 0, 2, 99, 1, 1, -4, 3);
      const [y, back] = [bench.out(x.length), bench.out(x.length)];
      const shape = { ...tables, positions: bench.put(places), positionBatch: rows, heads, rows, dim, rotary, length, interleaved };
      const split = { xBatch: rows * heads * dim, xHead: dim, xRow: heads * dim, yBatch: heads * rows * dim, yHead: rows * dim, yRow: dim };
      bench.run("rope", { ...shape, ...split, x: bench.put(x), y, inverse: 0 }, batch * heads * rows);
      const merge = {
        xBatch: split.yBatch,
        xHead: split.yHead,
        xRow: split.yRow,
        yBatch: split.xBatch,
        yHead: split.xHead,
        yRow: split.xRow,
      };
      bench.run("rope", { ...shape, ...merge, x: y, y: back, inverse: 1 }, batch * heads * rows);
      const expected = new Float32Array(x.length);
      for (let b = 0; b < batch; b++)
        for (let h = 0; h < heads; h++)
          for (let s = 0; s < rows; s++) {
            const position = Math.max(0, Math.min(length - 1, places[b * rows + s]!));
            const from = b * split.xBatch + h * dim + s * split.xRow;
            const to = ((b * heads + h) * rows + s) * dim;
            for (let i = rotary; i < dim; i++) expected[to + i] = x[from + i]!;
            for (let i = 0; i < half; i++) {
              const [p, q] = interleaved ? [2 * i, 2 * i + 1] : [i, i + half];
              const a = angle[position * half + i]!;
              expected[to + p] = x[from + p]! * Math.cos(a) - x[from + q]! * Math.sin(a);
              expected[to + q] = x[from + q]! * Math.cos(a) + x[from + p]! * Math.sin(a);
            }
          }
      expectClose(bench.f32(y, x.length), expected, 1e-6);
      expectClose(bench.f32(back, x.length), x, 1e-6);
    });
});

describe("AdamW", () => {
  const constants = (beta1: number, beta2: number) => {
    const parts = (x: number): [number, number] => [Math.fround(x), x - Math.fround(x)];
    const [lnBeta1, lnBeta1Low] = parts(Math.log(beta1));
    const [lnBeta2, lnBeta2Low] = parts(Math.log(beta2));
    return { beta2, oneMinusBeta1: 1 - beta1, oneMinusBeta2: 1 - beta2, lnBeta1, lnBeta1Low, lnBeta2, lnBeta2Low };
  };
  test("steps 1, 2, 1000 as PyTorch writes them, with a gradient scale", () => {
    const [count, chunk, beta1, beta2, eps, weightDecay, lr] = [37, 8, 0.9, 0.999, 1e-8, 0.1, 1e-2];
    for (const step of [1, 2, 1000]) {
      const [p, g, m, v] = [values(count, 1), values(count, 2), values(count, 3, 0.1), values(count, 4, 0.1).map(Math.abs)];
      const [param, am, av] = [bench.put(p), bench.put(m), bench.put(v)];
      const scalars = {
        lr: bench.put(Float32Array.of(lr)),
        step: bench.put(Float32Array.of(step)),
        scale: bench.put(Float32Array.of(0.5)),
      };
      const places = { param, grad: bench.put(g), m: am, v: av, outParam: param, outM: am, outV: av };
      bench.run("adamw", { ...places, ...scalars, ...constants(beta1, beta2), count, chunk, eps, weightDecay }, Math.ceil(count / chunk));
      const rate = Math.fround(lr);
      const expected = [...p].map((x, i) => {
        const grad = g[i]! * 0.5;
        const m1 = beta1 * m[i]! + (1 - beta1) * grad;
        const v1 = beta2 * v[i]! + (1 - beta2) * grad * grad;
        return x * (1 - rate * weightDecay) - ((rate / (1 - beta1 ** step)) * m1) / (Math.sqrt(v1) / Math.sqrt(1 - beta2 ** step) + eps);
      });
      expectClose(bench.f32(param, count), expected, 5e-7);
    }
  });
  test("skip leaves everything as it was, out of place too", () => {
    const [count, chunk] = [9, 4];
    const inputs = [values(count, 1), values(count, 3), values(count, 4)];
    const [param, m, v] = inputs.map((x) => bench.put(x)) as [number, number, number];
    const [outParam, outM, outV] = [bench.out(count), bench.out(count), bench.out(count)];
    const grad = bench.put(new Float32Array(count).fill(Number.NaN));
    const scalars = { lr: bench.put(Float32Array.of(1)), step: bench.put(Float32Array.of(1)), skip: bench.put(Uint8Array.of(1)) };
    const places = { param, grad, m, v, outParam, outM, outV };
    bench.run("adamw", { ...places, ...scalars, ...constants(0.9, 0.99), count, chunk, eps: 1e-8, weightDecay: 0.1 }, 3);
    expect([outParam, outM, outV].map((address) => bench.f32(address, count))).toEqual(inputs);
  });
});
