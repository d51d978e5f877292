import { argmax, max, type Sample, sum } from "@x/tensor";
import { primitiveSamples } from "@x/tensor/samples";
import { conformance } from "@x/testing";
import { describe, test } from "vitest";
import { onAdapter } from "./adapter.ts";

/** Sizes at which the kernels of rows split, fold, or change their form. */
const awkward: readonly Sample[] = [
  {
    op: sum,
    name: "rows of several parts",
    inputs: { x: { shape: [3, 9_999] } },
    attrs: { axes: [1] },
    tolerance: { atol: 2e-4, rtol: 1e-5 },
  },
  {
    op: sum,
    name: "a few long rows in fours",
    inputs: { x: { shape: [2, 16_388] } },
    attrs: { axes: [1] },
    tolerance: { atol: 2e-4, rtol: 1e-5 },
  },
  {
    op: sum,
    name: "tall columns in fours",
    inputs: { x: { shape: [4_001, 8] } },
    attrs: { axes: [0] },
    tolerance: { atol: 2e-4, rtol: 1e-5 },
  },
  { op: sum, name: "i32 in parts", inputs: { x: { shape: [10_001], dtype: "i32" } }, attrs: { axes: [0] } },
  { op: max, name: "a long row", inputs: { x: { shape: [2, 8_193] } }, attrs: { axes: [1] } },
  { op: argmax, name: "a long row", inputs: { x: { shape: [3, 5_003] } }, attrs: { axis: 1 } },
  {
    op: argmax,
    name: "the first of equals in a long row",
    inputs: { x: { shape: [2, 1_000], fill: { kind: "integers", low: 0, high: 5 } } },
    attrs: { axis: 1 },
  },
];

const contracts = new Set(["sum", "max", "min", "argmax", "argmin"]);
const own = primitiveSamples.filter(({ op }) => op && contracts.has(op.contract.name));

describe("as for a real GPU", async () => {
  await onAdapter((device) => conformance(device, [...own, ...awkward], { strict: true, describe, test }), "swiftshader", {
    caps: { software: false, maxComputeWorkgroupsPerDimension: 5 },
  });
});
describe("as for a software adapter", async () => {
  await onAdapter((device) => conformance(device, awkward, { strict: true, describe, test }));
});
