import { linear, linearBackwardWeights } from "@x/ops";
import { samples as opSamples } from "@x/ops/samples";
import { type Device, matmul, type Sample, type Tensor, tensor, withDevice } from "@x/tensor";
import { primitiveSamples } from "@x/tensor/samples";
import { conformance } from "@x/testing";
import { describe, expect, test } from "vitest";
import { linearBy } from "../src/kernels/product/linear.ts";
import { matmulBy } from "../src/kernels/product/matmul.ts";
import type { Choice } from "../src/kernels/product/tiles.ts";
import { tileOf } from "../src/kernels/product/units.ts";
import { onAdapter } from "./adapter.ts";
import { emulatedUnit } from "./emulated-unit.ts";

const values = (size: number, seed: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + seed) * Math.cos(i * 0.3));

const member = (member: Choice["member"], rows: number, columns: number, down: number, across: number, depth = 0, parts = 1): Choice => ({
  member,
  tile: { rows, columns, down, across, depth },
  parts,
});

const matrices = (m: number, n: number, k: number, parts = 1): Choice => ({
  ...{ member: "matrices", parts },
  tile: tileOf(emulatedUnit({ component: "f32", m, n, k })),
});

interface Case {
  readonly choice: Choice;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Which operands lie transposed: neither, b, a, both. */
  readonly form: "nn" | "nt" | "tn" | "tt";
}

/** Every member at a shape that leaves a rest in each direction, and at one of whole fours. */
const cases: Readonly<Record<string, Case>> = {
  "4 x 4 in registers, scalars": { choice: member("direct", 4, 4, 8, 8), m: 37, n: 35, k: 13, form: "nn" },
  "4 x 4 in registers, both turned": { choice: member("direct", 4, 4, 8, 8), m: 44, n: 36, k: 7, form: "tt" },
  "8 x 8 in registers, split": { choice: member("direct", 8, 8, 8, 8, 0, 3), m: 68, n: 72, k: 44, form: "nt" },
  "8 x 8 in registers, along rows": { choice: member("direct", 8, 8, 8, 8), m: 72, n: 68, k: 9, form: "tn" },
  "tiles of 32, along the sum": { choice: member("tiled", 4, 4, 8, 8, 32), m: 40, n: 36, k: 68, form: "nt" },
  "tiles of 32, scalars, split": { choice: member("tiled", 4, 4, 8, 8, 32, 3), m: 33, n: 35, k: 131, form: "nn" },
  "tiles of 64, along rows": { choice: member("tiled", 8, 8, 8, 8, 16), m: 68, n: 132, k: 19, form: "tn" },
  "tiles of 64, split": { choice: member("tiled", 8, 8, 8, 8, 16, 2), m: 68, n: 64, k: 72, form: "tt" },
  "tiles of 128": { choice: member("tiled", 8, 8, 16, 16, 16), m: 132, n: 136, k: 36, form: "nn" },
  "matrices of 8 x 8, scalars": { choice: matrices(8, 8, 8), m: 67, n: 70, k: 41, form: "nn" },
  "matrices of 16 x 8, along the sum, split": { choice: matrices(16, 8, 4, 3), m: 68, n: 36, k: 116, form: "nt" },
  "matrices of 8 x 16, along rows": { choice: matrices(8, 16, 16), m: 132, n: 68, k: 19, form: "tn" },
  "matrices of 16 x 16, split": { choice: matrices(16, 16, 8, 2), m: 33, n: 35, k: 67, form: "tt" },
  "one row along the sum": { choice: member("few rows", 1, 4, 1, 64), m: 1, n: 37, k: 516, form: "nt" },
  "three rows along the sum, split": { choice: member("few rows", 3, 4, 1, 64, 0, 2), m: 3, n: 8, k: 1032, form: "nt" },
  "two rows in registers, split": { choice: member("direct", 2, 4, 1, 64, 0, 3), m: 2, n: 260, k: 101, form: "nn" },
};

/** A matrix handed over as it is, or as the transpose of one that lies turned. */
function placed(device: Device, data: Float32Array, rows: number, columns: number, turned: boolean): Tensor {
  if (!turned) return tensor(data, { shape: [rows, columns], device });
  const lying = Float32Array.from({ length: rows * columns }, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)]!);
  return tensor(lying, { shape: [columns, rows], device }).transpose();
}

function expectClose(got: ArrayLike<number>, wanted: (row: number, column: number) => number, m: number, n: number): void {
  expect(got.length).toBe(m * n);
  for (let at = 0; at < m * n; at++) {
    const [row, column] = [Math.floor(at / n), at % n];
    const error = Math.abs(got[at]! - wanted(row, column));
    if (!(error < 2e-4)) throw new Error(`at [${row}, ${column}]: got ${got[at]}, expected ${wanted(row, column)}`);
  }
}

/** The member serves a plain product, and a linear layer with every epilogue. */
async function check(device: Device, { choice, m, n, k, form }: Case): Promise<void> {
  device.use([matmulBy(() => choice), linearBy(() => choice)]);
  const [a, b, bias, residual] = [values(m * k, 1), values(k * n, 2), values(n, 3), values(m * n, 4)];
  const sums = Float64Array.from({ length: m * n }, (_, at) => {
    let sum = 0;
    for (let t = 0; t < k; t++) sum += a[Math.floor(at / n) * k + t]! * b[t * n + (at % n)]!;
    return sum;
  });
  const [left, right] = [placed(device, a, m, k, form[0] === "t"), placed(device, b, k, n, form[1] === "t")];
  const made = withDevice(device, () => matmul({ a: left, b: right }));
  expectClose(await made.data(), (row, column) => sums[row * n + column]!, m, n);
  const layer = withDevice(device, () =>
    linear(
      { x: left, weight: right.transpose(), bias: tensor(bias, { device }), residual: tensor(residual, { shape: [m, n], device }) },
      { activation: "relu" },
    ),
  );
  const wanted = (row: number, column: number) => Math.max(0, sums[row * n + column]! + bias[column]!) + residual[row * n + column]!;
  expectClose(await layer.data(), wanted, m, n);
}

describe("every member of the portfolio", async () => {
  await onAdapter(
    (device) => {
      for (const [name, each] of Object.entries(cases))
        test(`${name}: ${each.m} x ${each.n} x ${each.k}, ${each.form}`, () => check(device, each));
    },
    "swiftshader",
    { strict: true, caps: { maxComputeWorkgroupsPerDimension: 5 }, defaultLimits: true },
  );
});

/**
 * Samples that between them take each way through the planner; all of them run as planned for a processor, and the members of the portfolio above, one by one. Their gradients are products
 * again, which stand here themselves, and cost SwiftShader as much to compile: one layer has them.
 */
const some: Readonly<Record<string, readonly string[]>> = {
  matmul: [
    ...["row times matrix", "matrix times column", "outer product", "nothing to sum over is 0"],
    ...["one matrix for a batch", "batches that broadcast", "rows apart, a repeated batch", "f16, accumulated in f32"],
  ],
  linear: ["of 64x64 to 64 with all epilogues", "of 2x300 to 7 with all epilogues"],
  linearBackwardWeights: ["of 2x33x20 and 12 outputs", "of 0x4 and 3 outputs", "of 3x0 and 4 outputs", "in f16"],
};
const products = [...primitiveSamples, ...opSamples]
  .filter(({ op, name }) => op && some[op.contract.name]?.includes(name))
  .map((sample): Sample => (sample.name.startsWith("of 2x300") ? sample : { ...sample, gradients: [] }));

describe("as planned for a real GPU", async () => {
  await onAdapter(
    (device) => {
      test("every one of these samples is there", () => expect(products).toHaveLength(Object.values(some).flat().length));
      conformance(device, products, { strict: true, describe, test });
      test("a sum that is split, with the sums of its rows", async () => {
        const [rows, inputs, outputs] = [300, 24, 20];
        const [x, dy] = [values(rows * inputs, 1), values(rows * outputs, 2)];
        const { weight, bias } = withDevice(device, () =>
          linearBackwardWeights({
            x: tensor(x, { shape: [rows, inputs], device }),
            dy: tensor(dy, { shape: [rows, outputs], device }),
          }),
        );
        const over = (term: (row: number) => number) => Array.from({ length: rows }, (_, row) => term(row)).reduce((sum, t) => sum + t, 0);
        expectClose(await weight.data(), (i, j) => over((r) => dy[r * outputs + i]! * x[r * inputs + j]!), outputs, inputs);
        expectClose(await bias.data(), (_, i) => over((r) => dy[r * outputs + i]!), 1, outputs);
      });
    },
    "swiftshader",
    { strict: true, caps: { software: false, maxComputeWorkgroupsPerDimension: 5 }, defaultLimits: true },
  );
});
