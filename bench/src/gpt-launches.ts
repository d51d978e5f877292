/**
 * Launches and submits of one GPT training step on WebGPU after warm-up, by kernel: 4 layers of width 128, 8 x 128 tokens. The count depends on shapes and limits, not on the adapter's speed.
 * Run with `node --conditions=@x/source --import tsx bench/src/gpt-launches.ts [--hardware] [--default-limits]` from the
 * repository's root; --hardware plans as for a real GPU on an adapter that is none.
 */
import { figuresOf, webgpu } from "@x/kernels-webgpu";
import { GPT2 } from "@x/models";
import { adamW } from "@x/optim";
import { setDefaultDevice } from "@x/tensor";
import { languageLoss, tokenBatch, trainStep } from "@x/train";

const [batch, length, vocabSize] = [8, 128, 128];
const hardware = process.argv.includes("--hardware");
const device = await webgpu({
  strict: true,
  ...(hardware && { caps: { software: false } }),
  defaultLimits: process.argv.includes("--default-limits"),
});
setDefaultDevice(device);
const model = new GPT2({ vocabSize, maxLength: length, dim: 128, numLayers: 4, numHeads: 4, activation: "geluTanh" });
const optimizer = adamW({ weightDecay: 0.1 }).init(model.namedParameters());
const step = trainStep({ optimizer, loss: languageLoss(model), clipNorm: 1 });
const tokens = Int32Array.from({ length: batch * (length + 1) }, (_, i) => (i * 7 + (i >> 5)) % vocabSize);
const windows = tokenBatch({ inputs: tokens.subarray(0, batch * length), targets: tokens.subarray(batch), shape: [batch, length] });
const run = async () => {
  const readings = step(windows, { lr: 1e-3 });
  await readings.loss.item();
  for (const reading of Object.values(readings)) reading.dispose();
};
for (let i = 0; i < 4; i++) await run();
const before = { ...figuresOf(device) };
await run();
const after = figuresOf(device);
const { launches } = await device.profile(run);
const counts = new Map<string, number>();
for (const { kernel } of launches) counts.set(kernel, (counts.get(kernel) ?? 0) + 1);
for (const [kernel, count] of [...counts].sort((a, b) => b[1] - a[1])) console.log(String(count).padStart(4), kernel);
console.log({ launches: after.dispatches - before.dispatches, submits: after.submits - before.submits, profiled: launches.length });
device.close();
