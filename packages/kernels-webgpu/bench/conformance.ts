/**
 * Conformance cases whose names match a pattern, with what failed and what was slow: for the desk, where a whole test run is too long.
 * npx tsx --conditions=@x/source bench/conformance.ts '^softmax' [--loose] [--most 10] [--hardware] [--fold 5]
 * --hardware plans as for a real GPU on an adapter that is none; --fold cuts lines of workgroups at a length, as hardware does at 65,535.
 */
import { parseArgs } from "node:util";
import { samples as opSamples } from "@x/ops/samples";
import { primitiveSamples } from "@x/tensor/samples";
import { conformanceCases } from "@x/testing";
import { adapterOf, figuresOf, webgpu } from "../src/index.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    loose: { type: "boolean", default: false },
    hardware: { type: "boolean", default: false },
    fold: { type: "string" },
    most: { type: "string", default: "10" },
  },
});
const pattern = new RegExp(positionals[0] ?? ".");
const strict = !values.loose;
const caps = {
  ...(values.hardware && { software: false }),
  ...(values.fold && { maxComputeWorkgroupsPerDimension: Number(values.fold) }),
};
const device = await webgpu({ strict, caps });
console.log(adapterOf(device));
const failed: string[] = [];
let passed = 0;
const begun = performance.now();
for (const { name, run } of conformanceCases(device, [...primitiveSamples, ...opSamples], { strict })) {
  if (!pattern.test(name)) continue;
  const at = performance.now();
  await run().then(
    () => passed++,
    (error: unknown) => failed.push(`${name}: ${(error as Error).message.slice(0, 800)}`),
  );
  const elapsed = performance.now() - at;
  if (elapsed > 3000) console.log(`slow: ${name}, ${elapsed.toFixed(0)} ms`);
}
console.log(failed.slice(0, Number(values.most)).join("\n----\n"));
console.log(`${passed} passed, ${failed.length} failed in ${((performance.now() - begun) / 1000).toFixed(1)} s`, figuresOf(device));
device.close();
