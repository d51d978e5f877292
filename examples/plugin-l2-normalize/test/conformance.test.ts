import { describe, test } from "node:test";
import { wasm } from "@x/kernels-wasm";
import { webgpu } from "@x/kernels-webgpu";
import { conformance } from "@x/testing";
import { samples } from "plugin-l2-normalize/samples";
import { l2NormalizeWasm } from "plugin-l2-normalize/wasm";
import { l2NormalizeWebgpu } from "plugin-l2-normalize/webgpu";

const device = process.argv.includes("webgpu")
  ? await webgpu({ kernels: [l2NormalizeWebgpu] })
  : await wasm({ kernels: [l2NormalizeWasm] });
conformance(device, samples, { strict: true, describe, test });
test("closed", async () => device.close());
