import { convolution, fft, reference, type Tensor, tensor, withDevice } from "@x/tensor";
import { primitiveSamples } from "@x/tensor/samples";
import { conformance } from "@x/testing";
import { describe, expect, test } from "vitest";
import { onAdapter } from "./adapter.ts";

const served = primitiveSamples.filter(({ op }) => op?.contract === convolution.contract || op?.contract === fft.contract);
const values = (size: number, seed: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + seed) * Math.cos(i * 0.3));

/** As a real GPU is served: full workgroups, long sums split. */
await onAdapter(
  (device) => {
    conformance(device, served, { strict: true, describe, test });

    test.each([
      ["one pass of mixed radices", 960],
      ["one pass of 1024", 1024],
      ["two passes", 2048],
      ["two passes of mixed radices", 1500],
      ["three passes", 32_768],
      ["a prime", 127],
      ["a prime whose squares pass 32 bits", 65_539],
      ["a large prime factor", 2 * 541],
    ])("fft of %s, %i", async (_, n) => {
      const rows = n < 4096 ? 3 : 1;
      const [re, im] = [values(rows * n, 1), values(rows * n, 2)];
      for (const inverse of n < 4096 ? [false, true] : [true]) {
        const shape = [rows, n];
        const y = withDevice(device, () => fft({ re: tensor(re, { shape, device }), im: tensor(im, { shape, device }) }, { inverse }));
        const [yRe, yIm] = [await y.re.data(), await y.im.data()];
        const row = rows - 1;
        for (const k of [0, 1, 7, n >> 1, n - 2, n - 1]) {
          let [sumRe, sumIm] = [0, 0];
          for (let i = 0; i < n; i++) {
            const angle = ((inverse ? 2 : -2) * Math.PI * ((i * k) % n)) / n;
            const [c, s] = [Math.cos(angle), Math.sin(angle)];
            sumRe += re[row * n + i]! * c - im[row * n + i]! * s;
            sumIm += re[row * n + i]! * s + im[row * n + i]! * c;
          }
          const allowed = 3e-6 * Math.sqrt(n) * Math.log2(n);
          expect(Math.abs(yRe[row * n + k]! - sumRe), `re ${k}`).toBeLessThan(allowed);
          expect(Math.abs(yIm[row * n + k]! - sumIm), `im ${k}`).toBeLessThan(allowed);
        }
      }
    });

    test("a long sum of few results is split", async () => {
      const [x, weight] = [values(2 * 3 * 700, 3), values(5 * 3 * 333, 4)];
      const on = (d: typeof device): Tensor =>
        withDevice(d, () =>
          convolution(
            { x: tensor(x, { shape: [2, 3, 700], device: d }), weight: tensor(weight, { shape: [5, 3, 333], device: d }) },
            { padding: [[7, -3]], stride: [3] },
          ),
        );
      const host = reference();
      const [y, expected] = [await on(device).data(), await on(host).data()];
      for (const [i, value] of expected.entries()) expect(Math.abs(y[i]! - value)).toBeLessThan(1e-4);
    });
  },
  "swiftshader",
  { caps: { software: false, maxComputeWorkgroupsPerDimension: 5 }, defaultLimits: true },
);
