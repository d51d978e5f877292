/** The conformance suite on the WebGPU device as JSON lines: each case that failed, then the counts. `--strict` refuses references. */

import { adapterOf, webgpu } from "@x/kernels-webgpu";
import { samples } from "@x/ops/samples";
import { primitiveSamples } from "@x/tensor/samples";
import { conformanceCases } from "@x/testing";
import { adapterName } from "./dawn.ts";

const strict = process.argv.includes("--strict");
const device = await webgpu({ strict });
const [passed, failed] = [[] as string[], [] as string[]];
const begun = performance.now();
for (const { name, run } of conformanceCases(device, [...primitiveSamples, ...samples], { strict })) {
  try {
    await run();
    passed.push(name);
  } catch (error) {
    failed.push(name);
    console.log(JSON.stringify({ failed: name, words: (error as Error).message.slice(0, 500) }));
  }
}
const seconds = (performance.now() - begun) / 1000;
const adapter = adapterName(adapterOf(device));
console.log(JSON.stringify({ adapter, strict, passed: passed.length, failed: failed.length, seconds, node: process.version }));
device.close();
process.exit(failed.length ? 1 : 0);
