import { samples as opSamples } from "@x/ops/samples";
import { primitiveSamples } from "@x/tensor/samples";
import { conformance, type KernelException } from "@x/testing";
import { describe, test } from "vitest";
import { onAdapter } from "./adapter.ts";
import exceptions from "./strict-exceptions.json" with { type: "json" };

// With the limits that every WebGPU device has: whatever passes here is not refused anywhere for its size. Lines of workgroups are folded early, as long ones are at
// 65,535, so that a kernel that does not look where they end writes into its neighbours.
await onAdapter(
  (device) =>
    conformance(device, [...primitiveSamples, ...opSamples], {
      strict: true,
      exceptions: exceptions as readonly KernelException[],
      describe,
      test,
    }),
  "swiftshader",
  { defaultLimits: true, caps: { maxComputeWorkgroupsPerDimension: 5 } },
);
