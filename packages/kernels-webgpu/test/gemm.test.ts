import { linear } from "@x/ops";
import { samples as opSamples } from "@x/ops/samples";
import { matmul, type Tensor, tensor, withDevice } from "@x/tensor";
import { primitiveSamples } from "@x/tensor/samples";
import { conformance } from "@x/testing";
import { describe, expect, test } from "vitest";
import { onAdapter } from "./adapter.ts";

const products = [...primitiveSamples, ...opSamples].filter(
  ({ op }) => op?.contract === matmul.contract || op?.contract === linear.contract,
);

/** What a real GPU is given: tiles in workgroup memory, split sums, results shared out over lanes. */
await onAdapter(
  (device) => {
    conformance(device, products, { strict: true, describe, test });

    const values = (size: number, seed: number) =>
      Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + seed) * Math.cos(i * 0.3));
    const cases = {
      "squares of 64": [516, 520, 40],
      "squares of 64, edges everywhere": [515, 517, 39],
      "a split sum": [60, 72, 1030],
      "a split sum of whole fours": [64, 64, 2048],
      "a row": [1, 260, 515],
      "three rows": [3, 67, 1024],
    } as const;
    for (const [name, [m, n, k]] of Object.entries(cases))
      for (const form of ["nn", "nt", "tn", "tt"] as const)
        test(`${name}, ${form}`, async () => {
          const [a, b] = [values(m * k, 1), values(k * n, 2)];
          const place = (data: Float32Array, rows: number, columns: number, turned: boolean): Tensor =>
            turned ? tensor(data, { shape: [columns, rows], device }).transpose() : tensor(data, { shape: [rows, columns], device });
          const [ta, tb] = [form[0] === "t", form[1] === "t"];
          const y = await withDevice(device, () => matmul({ a: place(a, m, k, ta), b: place(b, k, n, tb) })).data();
          for (const row of [0, m >> 1, m - 1])
            for (let column = 0; column < n; column += 1 + (n >> 3)) {
              let sum = 0;
              for (let i = 0; i < k; i++) sum += a[ta ? i * m + row : row * k + i]! * b[tb ? column * k + i : i * n + column]!;
              expect(Math.abs(y[row * n + column]! - sum)).toBeLessThan(2e-4);
            }
        });
  },
  "swiftshader",
  { caps: { software: false, maxComputeWorkgroupsPerDimension: 5 }, defaultLimits: true },
);
