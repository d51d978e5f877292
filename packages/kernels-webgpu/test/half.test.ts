import { embedding, rope, softmax } from "@x/ops";
import { samples as opSamples } from "@x/ops/samples";
import { decode, isFloat, matmul, type OpSample, type SampleInput, scope, tensor, withDevice } from "@x/tensor";
import { primitiveSamples } from "@x/tensor/samples";
import { conformance } from "@x/testing";
import { describe, expect, test } from "vitest";
import type { WebgpuDriver } from "../src/device/driver.ts";
import { checkMatrices } from "../src/kernels/product/check-matrices.ts";
import { onAdapter } from "./adapter.ts";
import { emulatedUnit } from "./emulated-unit.ts";
import { smallSamples, tensorsOf } from "./small-samples.ts";

const samples = [...primitiveSamples, ...opSamples];
const inHalf = (input: SampleInput): SampleInput => (isFloat(input.dtype ?? "f32") ? { ...input, dtype: "f16" } : input);
/** A case of f32 in f16: sums of some hundred products are f32, but their terms are rounded on the way. */
const narrowed = (sample: OpSample): OpSample => ({
  ...{ name: `${sample.name}, in half precision`, op: sample.op, ...(sample.attrs && { attrs: sample.attrs }) },
  inputs: Object.fromEntries(
    Object.entries(sample.inputs).map(([name, input]) => [
      name,
      typeof input === "object" && !Array.isArray(input) ? inHalf(input as SampleInput) : input,
    ]),
  ),
  tolerance: { atol: 1e-2, rtol: 1e-2 },
});
/** Few: a linear layer, or a norm with its gradients, takes lavapipe ten seconds to compile, attention half a minute. */
const models = [matmul, softmax, rope, embedding];

// Lavapipe has shader-f16, as GPUs do and SwiftShader does not; kernels plan as for one of them.
await onAdapter(
  (device) => {
    test("the adapter's conversion reads all there is, and is used", async () => {
      expect((device.driver as WebgpuDriver).caps.f16).toBe(true);
      const all = decode(new Uint8Array(Uint16Array.from({ length: 1 << 16 }, (_, bits) => bits).buffer), "f16") as Float32Array;
      const { gpu } = device.driver as WebgpuDriver;
      const sources: string[] = [];
      const make = gpu.createShaderModule.bind(gpu);
      gpu.createShaderModule = (descriptor) => {
        sources.push(descriptor.code);
        return make(descriptor);
      };
      // By one and by four elements at a time, in a program that no check has run.
      for (const some of [all, all.subarray(1)]) {
        const read = withDevice(device, () => scope(() => tensor(some, { dtype: "f16" }).cast("f32").mul(1)));
        expect(await read.data()).toEqual(Float32Array.from(some));
        read.dispose();
      }
      gpu.createShaderModule = make;
      expect(sources.length).toBeGreaterThan(0);
      for (const source of sources) expect(source).toMatch(/^enable f16;\n[\s\S]*bitcast<vec2<f16>>/);
    });
    test("a matrix unit of f16, emulated", async () => {
      expect(await checkMatrices(device.driver, [emulatedUnit({ component: "f16", m: 16, n: 16, k: 8 })])).toBeUndefined();
    });
    conformance(
      device,
      [
        ...samples.filter((sample) => tensorsOf(sample).some(({ dtype }) => dtype === "f16")),
        ...models.flatMap((op) => smallSamples(samples, op.contract, 6000).slice(0, 1).map(narrowed)),
      ],
      { describe, test },
    );
  },
  "lavapipe",
  { defaultLimits: true, caps: { software: false } },
);
