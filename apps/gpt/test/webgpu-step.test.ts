import { expect, test } from "vitest";
import { onAdapter } from "../../../packages/kernels-webgpu/test/adapter.ts";
import { thirtySteps, tinyGpt } from "./support.ts";

await onAdapter((device) => {
  test("a compiled training step is the eager one over 30 steps: a varying rate, dropout, accumulation, one skipped step", async () => {
    const [compiled, eager] = [
      await thirtySteps(tinyGpt(device, { small: true })),
      await thirtySteps(tinyGpt(device, { small: true, eager: true })),
    ];
    expect(compiled).toEqual(eager);
  });
});
