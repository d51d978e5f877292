import { cummax, cumprod, cumsum, putAdd, reference, sort, type Tensor, tensor, topK, withDevice } from "@x/tensor";
import { expect, test } from "vitest";
import { onAdapter } from "./adapter.ts";

const oracle = reference();
const wave = (size: number, step: number) =>
  Float32Array.from({ length: size }, (_, i) => Math.fround(Math.sin(i * step) * Math.cos(i * 0.013)));

/** Sizes at which these kernels change their form: parts of a running sum, blocks and merges of a sort. */
await onAdapter((device) => {
  const both = async (build: (x: Tensor) => Tensor, data: Float32Array, shape: readonly number[]) => {
    const [a, b] = await Promise.all([device, oracle].map((on) => withDevice(on, () => build(tensor(data, { shape, device: on }))).data()));
    return [a!, b!] as const;
  };

  for (const n of [128, 129, 1000, 20_000])
    for (const reverse of [false, true])
      test(`running sums of ${n}, ${reverse ? "from the end" : "from the start"}`, async () => {
        for (const exclusive of [false, true]) {
          const [a, b] = await both((x) => cumsum({ x }, { axis: 0, reverse, exclusive }), wave(n * 3, 0.7), [n, 3]);
          for (let i = 0; i < a.length; i++) expect(Math.abs(a[i]! - b[i]!)).toBeLessThan(1e-3);
        }
      });

  test("running products and maxima over several parts", async () => {
    const near = wave(600, 0.3).map((v) => 1 + v / 100);
    const [p, q] = await both((x) => cumprod({ x }, { axis: -1 }), near, [2, 300]);
    for (let i = 0; i < p.length; i++) expect(Math.abs(p[i]! / q[i]! - 1)).toBeLessThan(1e-5);
    const [a, b] = await both((x) => cummax({ x }, { axis: -1 }), wave(600, 0.3), [2, 300]);
    expect(a).toEqual(b);
  });

  for (const n of [64, 65, 128, 1000, 5000])
    test(`sorts of ${n}, stable both ways`, async () => {
      // Many equal values, so that their order shows.
      const data = wave(2 * n, 1.1).map((v) => Math.round(v * 8) / 8);
      for (const descending of [false, true])
        for (const part of ["values", "indices"] as const) {
          const [a, b] = await both((x) => sort({ x }, { descending })[part], data, [2, n]);
          expect(a).toEqual(b);
        }
      const [a, b] = await both((x) => topK({ x }, { k: Math.min(n, 70) }).indices, data, [2, n]);
      expect(a).toEqual(b);
    });

  for (const count of [700, 5000])
    test(`${count} slices of few indices, some of which lie outside`, async () => {
      const indices = Int32Array.from({ length: count }, (_, i) => ((i * 7) % 5) + (i % 100 === 99 ? 9 : 0));
      const [a, b] = await both(
        (x) => putAdd({ x, indices: tensor(indices, { dtype: "i32", device: x.device }) }, { extent: 6 }),
        wave(3 * count, 0.9),
        [count, 3],
      );
      for (let i = 0; i < a.length; i++) expect(Math.abs(a[i]! - b[i]!)).toBeLessThan(1e-4);
    });
});
