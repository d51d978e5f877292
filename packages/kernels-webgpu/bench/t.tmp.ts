import { samples as opSamples } from "@x/ops/samples";
import { primitiveSamples } from "@x/tensor/samples";
import { conformanceCases } from "@x/testing";
import { webgpu, figuresOf, adapterOf } from "../src/index.ts";
const hasF16 = (s: any) => Object.values(s.inputs).flat().some((i: any) => i?.dtype === "f16");
const picked = [...primitiveSamples, ...opSamples].filter(hasF16);
console.log(picked.length, picked.map((s: any) => `${s.op?.contract.name}: ${s.name}`).join("\n"));
const device = await webgpu({ defaultLimits: true });
console.log(adapterOf(device), device.driver.caps);
const b = performance.now(); let fails = 0;
for (const { name, run } of conformanceCases(device, picked, { strict: false })) {
  const t = performance.now();
  await run().catch((e) => { fails++; console.log(name, (e as Error).message.slice(0, 300)); });
  const d = performance.now() - t; if (d > 1000) console.log("slow", name, d.toFixed(0));
}
console.log("all", (performance.now() - b).toFixed(0), fails, figuresOf(device));
device.close();
