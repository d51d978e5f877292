import { afterAll, describe, expect, test } from "vitest";
import { reductions } from "../src/abi.ts";
import { Bench, expectClose, values } from "./harness.ts";

const bench = new Bench({ threads: 1 });
afterAll(() => bench.close());

describe("gather and scatter-add", () => {
  test("rows of a table, indices clamped, elements of every size", () => {
    const [axis, inner, count] = [5, 7, 6];
    const indices = Int32Array.of(4, 0, -3, 99, 2, 2);
    const places = [4, 0, 0, 4, 2, 2];
    for (const size of [1, 2, 4, 8]) {
      const table = Uint8Array.from({ length: axis * inner * size }, (_, i) => (i * 37) & 255);
      const out = bench.out(Math.ceil((count * inner * size) / 4));
      const shape = { size, axis, count, inner, srcOuter: 0, indexOuter: 0, indexCount: 1, indexInner: 0 };
      bench.run("gather", { out, src: bench.put(table), indices: bench.put(indices), ...shape }, count);
      const expected = places.flatMap((row) => [...table.subarray(row * inner * size, (row + 1) * inner * size)]);
      expect([...bench.runtime.heap.read(out, expected.length)]).toEqual(expected);
    }
  });
  test("an index for each element, along a middle axis", () => {
    const [outer, axis, count, inner] = [2, 5, 3, 4];
    const x = values(outer * axis * inner, 1);
    const indices = Int32Array.from({ length: outer * count * inner }, (_, i) => (i * 7) % axis);
    const [out, back] = [bench.out(outer * count * inner), bench.put(new Float32Array(outer * axis * inner).fill(1))];
    const strides = { indexOuter: count * inner, indexCount: inner, indexInner: 1 };
    const at = bench.put(indices);
    bench.run(
      "gather",
      { out, src: bench.put(x), indices: at, size: 4, axis, count, inner, srcOuter: axis * inner, ...strides },
      outer * count,
    );
    const expected = Float32Array.from(indices, (j, e) => x[(Math.floor(e / (count * inner)) * axis + j) * inner + (e % inner)]!);
    expect(bench.f32(out, expected.length)).toEqual(expected);
    bench.run("scatter_add", { out: back, src: out, indices: at, axis, count, inner, columns: 3, zero: 0, ...strides }, outer * 2);
    const sums = new Float32Array(outer * axis * inner).fill(1);
    indices.forEach((j, e) => {
      sums[(Math.floor(e / (count * inner)) * axis + j) * inner + (e % inner)]! += expected[e]!;
    });
    expectClose(bench.f32(back, sums.length), sums);
  });
  test("rows added to a cleared table, in one order on any number of threads", () => {
    const [axis, inner, count, columns] = [5, 130, 400, 32];
    const [src, indices] = [values(count * inner, 1), Int32Array.from({ length: count }, (_, i) => (i * i) % 7)];
    const shape = { axis, count, inner, columns, zero: 1, indexOuter: 0, indexCount: 1, indexInner: 0 };
    const run = (on: Bench) => {
      const out = on.out(axis * inner);
      on.run("scatter_add", { out, src: on.put(src), indices: on.put(indices), ...shape }, Math.ceil(inner / columns));
      return on.f32(out, axis * inner);
    };
    const pair = new Bench({ threads: 2 });
    const sums = new Float64Array(axis * inner);
    indices.forEach((j, row) => {
      for (let i = 0; i < inner; i++) sums[Math.min(j, axis - 1) * inner + i]! += src[row * inner + i]!;
    });
    expectClose(run(bench), sums);
    expect(run(pair)).toEqual(run(bench));
    pair.close();
  });
});

const folds = {
  sum: (xs: number[]) => xs.reduce((a, x) => a + x, 0),
  max: (xs: number[]) => xs.reduce((a, x) => Math.max(a, x), Number.NEGATIVE_INFINITY),
  min: (xs: number[]) => xs.reduce((a, x) => Math.min(a, x), Number.POSITIVE_INFINITY),
  prod: (xs: number[]) => xs.reduce((a, x) => a * x, 1),
  squares: (xs: number[]) => xs.reduce((a, x) => a + x * x, 0),
};

describe("reductions", () => {
  const shapes = [
    [1, 1, 1],
    [3, 7, 1],
    [2, 5, 3],
    [2, 300, 13],
    [1, 5000, 1],
    [4, 0, 1],
    [2, 0, 5],
    [3, 9, 8],
  ] as const;
  const columnsOf = (x: ArrayLike<number>, [outer, n, inner]: readonly [number, number, number]) =>
    Array.from({ length: outer * inner }, (_, e) =>
      Array.from({ length: n }, (_, i) => x[(Math.floor(e / inner) * n + i) * inner + (e % inner)]!),
    );
  for (const name of Object.keys(folds) as (keyof typeof folds)[])
    test(`${name} of f32 and of whole numbers`, () => {
      for (const shape of shapes) {
        const [outer, n, inner] = shape;
        const x = values(outer * n * inner, 3).map((v) => (name === "prod" ? 1 + v / 20 : v));
        const columns = 8;
        const units = outer * Math.ceil(inner / columns);
        const out = bench.out(outer * inner);
        bench.run("reduce_f32", { out, x: bench.put(x), n, inner, columns, op: reductions[name] }, units);
        expectClose(bench.f32(out, outer * inner), columnsOf(x, shape).map(folds[name]), 2e-6, `${name} of ${shape}`, 10);
        if (n === 0) continue;
        const whole = Int32Array.from(x, (v) => Math.round(v * 100));
        bench.run("reduce_i32", { out, x: bench.put(whole), n, inner, columns, op: reductions[name], isUnsigned: 0 }, units);
        const exact = columnsOf(whole, shape).map((xs) =>
          name === "prod"
            ? xs.reduce((a, v) => Math.imul(a, v), 1)
            : name === "squares"
              ? xs.reduce((a, v) => (a + v * v) | 0, 0)
              : folds[name](xs),
        );
        expect([...bench.i32(out, outer * inner)]).toEqual(exact);
      }
    });
  test("u32 extremes, any and all, places of extremes", () => {
    const words = Int32Array.of(5, -1, 7, 0x80000000 | 0, 3, 2);
    const out = bench.out(2);
    const pair = { n: 3, inner: 1, columns: 1 };
    bench.run("reduce_i32", { out, x: bench.put(words), ...pair, op: reductions.max, isUnsigned: 1 }, 2);
    expect([...bench.i32(out, 2)]).toEqual([-1, 0x80000000 | 0]);
    bench.run("reduce_i32", { out, x: bench.put(words), ...pair, op: reductions.min, isUnsigned: 1 }, 2);
    expect([...bench.i32(out, 2)]).toEqual([5, 2]);
    const flags = bench.put(Uint8Array.of(0, 1, 0, 0, 0, 0, 1, 1, 1));
    bench.run("reduce_bool", { out, x: flags, ...pair, op: reductions.max }, 3);
    expect([...bench.runtime.heap.read(out, 3)]).toEqual([1, 0, 1]);
    bench.run("reduce_bool", { out, x: flags, ...pair, op: reductions.min }, 3);
    expect([...bench.runtime.heap.read(out, 3)]).toEqual([0, 0, 1]);
    const x = bench.put(Float32Array.of(1, 3, 3, 2, Number.NaN, 9));
    bench.run("arg_reduce", { out, x, ...pair, op: reductions.max }, 2);
    expect([...bench.i32(out, 2)]).toEqual([1, 1]);
    bench.run("arg_reduce", { out, x, ...pair, op: reductions.min }, 2);
    expect([...bench.i32(out, 2)]).toEqual([0, 1]);
  });
});

describe("copy", () => {
  const strided = (
    size: number,
    shape: number[],
    outStride: number[],
    srcStride: number[],
    outLength: number,
    srcLength: number,
    rows = 3,
  ) => {
    const src = Uint8Array.from({ length: srcLength * size }, (_, i) => (i * 31 + 7) & 255);
    const out = bench.put(new Uint8Array(outLength * size).fill(1));
    const units = Math.ceil(shape[4]! / rows) * shape.slice(0, 4).reduce((a, b) => a * b, 1);
    bench.run("copy", { out, src: bench.put(src), size, rows, shape, outStride, srcStride }, units);
    const expected = new Uint8Array(outLength * size).fill(1);
    const total = shape.reduce((a, b) => a * b, 1);
    for (let e = 0; e < total; e++) {
      let [rest, to, from] = [e, 0, 0];
      for (let axis = 5; axis >= 0; axis--) {
        const i = rest % shape[axis]!;
        rest = Math.floor(rest / shape[axis]!);
        to += i * outStride[axis]!;
        from += i * srcStride[axis]!;
      }
      for (let b = 0; b < size; b++) expected[to * size + b] = src[from * size + b]!;
    }
    expect([...bench.runtime.heap.read(out, expected.length)]).toEqual([...expected]);
  };
  for (const size of [1, 2, 4, 8]) {
    test(`elements of ${size} bytes: transposed, sliced, repeated, permuted`, () => {
      strided(size, [1, 1, 1, 1, 37, 41], [0, 0, 0, 0, 41, 1], [0, 0, 0, 0, 1, 37], 37 * 41, 37 * 41, 10);
      strided(size, [1, 1, 1, 2, 5, 20], [0, 0, 0, 200, 30, 1], [0, 0, 0, 150, 25, 1], 400, 300);
      strided(size, [1, 1, 1, 3, 4, 5], [0, 0, 0, 20, 5, 1], [0, 0, 0, 0, 1, 0], 60, 4);
      strided(size, [2, 3, 2, 2, 3, 2], [72, 24, 12, 6, 2, 1], [2, 4, 12, 24, 48, 1], 144, 144);
    });
  }
  test("fill, off the vector's length", () => {
    for (const bytes of [1, 4, 15, 16, 17, 100]) {
      const out = bench.put(new Uint8Array(bytes + 3).fill(9));
      bench.run("fill", { out, word: 0x04030201, bytes, chunk: 32 }, Math.ceil(bytes / 32));
      const expected = Uint8Array.from({ length: bytes + 3 }, (_, i) => (i < bytes ? (i % 4) + 1 : 9));
      expect([...bench.runtime.heap.read(out, bytes + 3)]).toEqual([...expected]);
    }
  });
});

test("running sum, product, max and min, both ways", () => {
  const [outer, n, inner, columns] = [2, 9, 5, 2];
  const x = values(outer * n * inner, 1);
  const steps = { sum: (a: number, b: number) => a + b, prod: (a: number, b: number) => a * b, max: Math.max, min: Math.min };
  for (const [name, step] of Object.entries(steps))
    for (const reverse of [0, 1]) {
      const out = bench.out(x.length);
      const op = reductions[name as keyof typeof steps];
      bench.run("cumulate", { out, x: bench.put(x), n, inner, columns, op, reverse, exclusive: 0 }, outer * Math.ceil(inner / columns));
      const expected = new Float64Array(x.length);
      for (let o = 0; o < outer; o++)
        for (let e = 0; e < inner; e++)
          for (let i = 0; i < n; i++) {
            const at = (t: number) => (o * n + (reverse ? n - 1 - t : t)) * inner + e;
            expected[at(i)] = i === 0 ? x[at(0)]! : step(expected[at(i - 1)]!, x[at(i)]!);
          }
      expectClose(bench.f32(out, x.length), expected);
    }
});

test("sort and top-k: stable, NaN last, both directions", () => {
  for (const n of [1, 2, 7, 64, 100])
    for (const k of new Set([1, Math.ceil(n / 10), n]))
      for (const descending of [0, 1]) {
        const rows = 3;
        const x = values(rows * n, n, 4).map(Math.round);
        if (n > 2) x.set([Number.NaN, Number.NEGATIVE_INFINITY, -0]);
        const [sorted, places] = [bench.out(rows * k), bench.out(rows * k)];
        const scratch = bench.runtime.heap.allocate(16 * n * rows);
        bench.run("sort", { values: sorted, places, x: bench.put(x), scratch, n, k, descending }, rows);
        const order = Array.from({ length: rows }, (_, r) => {
          const row = x.subarray(r * n, (r + 1) * n);
          const rank = (v: number) => (Number.isNaN(v) ? Number.POSITIVE_INFINITY : descending ? -v : v);
          const compare = (a: number, b: number) => {
            const [p, q] = [rank(row[a]!), rank(row[b]!)];
            const nan = Number(Number.isNaN(row[a])) - Number(Number.isNaN(row[b]));
            return nan || (p < q ? -1 : p > q ? 1 : a - b);
          };
          return Array.from(row.keys()).sort(compare).slice(0, k);
        });
        expect([...bench.i32(places, rows * k)]).toEqual(order.flat());
        expect([...bench.f32(sorted, rows * k)]).toEqual(order.flatMap((row, r) => row.map((i) => x[r * n + i]!)));
      }
});

test("convolution: stride, padding, both dilations, groups, sums longer than a block, tiles that do not fit", () => {
  for (const channels of [2, 180]) {
    const [batch, groups, outputs, height, width] = [2, 2, 7, 5, 6];
    const [kernelH, kernelW, outH, outW] = [2, 3, 5, 4];
    const options = { strideH: 2, strideW: 3, padH: 2, padW: 1, inputDilationH: 2, inputDilationW: 2, dilationH: 2, dilationW: 1 };
    const x = values(batch * groups * channels * height * width, 1);
    const terms = channels * kernelH * kernelW;
    const weight = values(groups * outputs * terms, 2);
    const y = bench.out(batch * groups * outputs * outH * outW);
    const sizes = { groups, channels, outputs, height, width, outH, outW, kernelH, kernelW, rows: 5, columns: 16 };
    bench.run("convolution", { y, x: bench.put(x), weight: bench.put(weight), ...sizes, ...options }, batch * groups * 2 * 2);
    const at = (m: number, c: number, h: number, w: number) =>
      h >= 0 && w >= 0 && h % 2 === 0 && w % 2 === 0 && h / 2 < height && w / 2 < width
        ? x[((m * channels + c) * height + h / 2) * width + w / 2]!
        : 0;
    const expected = Float32Array.from({ length: batch * groups * outputs * outH * outW }, (_, e) => {
      const [j, i, o, m] = [
        e % outW,
        Math.floor(e / outW) % outH,
        Math.floor(e / (outH * outW)) % outputs,
        Math.floor(e / (outH * outW * outputs)),
      ];
      let sum = 0;
      for (let t = 0; t < terms; t++) {
        const [kw, kh, c] = [t % kernelW, Math.floor(t / kernelW) % kernelH, Math.floor(t / (kernelH * kernelW))];
        sum += weight[((m % groups) * outputs + o) * terms + t]! * at(m, c, i * 2 + kh * 2 - 2, j * 3 + kw - 1);
      }
      return sum;
    });
    bench.f32(y, expected.length).forEach((value, i) => {
      expect(Math.abs(value - expected[i]!), `element ${i} of ${channels} channels`).toBeLessThan(1e-4);
    });
  }
});

test("Fourier transforms of any length with small factors, forwards and back", () => {
  for (const radices of [[], [2], [3], [4, 2], [5, 3], [4, 4, 4], [7, 2, 5], [13], [4, 4, 5, 3]]) {
    const n = radices.reduce((a, b) => a * b, 1);
    const rows = 2;
    const [re, im] = [values(rows * n, 1), values(rows * n, 2)];
    const angle = Array.from({ length: n }, (_, i) => (2 * Math.PI * i) / n);
    const tables = { cos: bench.put(Float32Array.from(angle, Math.cos)), sin: bench.put(Float32Array.from(angle, Math.sin)) };
    const [outRe, outIm, backRe, backIm] = [1, 2, 3, 4].map(() => bench.out(rows * n)) as [number, number, number, number];
    const shared = { ...tables, scratch: bench.out(2 * rows * n), n, radices };
    bench.run("fft", { ...shared, outRe, outIm, re: bench.put(re), im: bench.put(im), inverse: 0 }, rows);
    const expected = Array.from({ length: rows * n }, (_, e) => {
      let [x, y] = [0, 0];
      for (let i = 0; i < n; i++) {
        const at = e - (e % n) + i;
        const [c, s] = [Math.cos(angle[(i * (e % n)) % n]!), -Math.sin(angle[(i * (e % n)) % n]!)];
        x += re[at]! * c - im[at]! * s;
        y += re[at]! * s + im[at]! * c;
      }
      return [x, y] as const;
    });
    expectClose(
      bench.f32(outRe, rows * n),
      expected.map(([x]) => x),
      2e-6,
      `re of ${n}`,
      1,
    );
    expectClose(
      bench.f32(outIm, rows * n),
      expected.map(([, y]) => y),
      2e-6,
      `im of ${n}`,
      1,
    );
    bench.run("fft", { ...shared, outRe: backRe, outIm: backIm, re: outRe, im: outIm, inverse: 1 }, rows);
    expectClose(
      bench.f32(backRe, rows * n),
      re.map((x) => x * n),
      2e-6,
    );
    expectClose(
      bench.f32(backIm, rows * n),
      im.map((x) => x * n),
      2e-6,
    );
  }
});
