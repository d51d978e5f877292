/**
 * GPT-2 124M trains at batch 1 x 256 tokens: a few steps on random tokens, with the losses, the time of a step, and what the device holds. Run with
 * `node --conditions=@x/source --import tsx bench/src/gpt2-train.ts [threads]` from the repository's root; writes bench/results/gpt2-train-node<version>.json.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { wasm } from "@x/kernels-wasm";
import { GPT2 } from "@x/models";
import { adamW } from "@x/optim";
import { setDefaultDevice } from "@x/tensor";
import { languageLoss, tokenBatch, trainStep } from "@x/train";
import { machine } from "./results.ts";
import { uniform } from "./workloads.ts";

const threads = Number(process.argv[2] ?? 2);
const steps = 4;
const [batch, length, vocabSize] = [1, 256, 50257];
const device = await wasm({ threads });
setDefaultDevice(device);
const model = new GPT2({ vocabSize, maxLength: 1024, dim: 768, numLayers: 12, numHeads: 12 });
const optimizer = adamW({ weightDecay: 0.1 }).init(model.namedParameters());
const step = trainStep({ optimizer, loss: languageLoss(model), clipNorm: 1 });
const random = uniform(1);
const tokens = Int32Array.from({ length: length + 1 }, () => Math.floor(random() * vocabSize));
const windows = { inputs: tokens.subarray(0, length), targets: tokens.subarray(1), shape: [batch, length] };
const losses: number[] = [];
const milliseconds: number[] = [];
for (let i = 0; i < steps; i++) {
  const begin = performance.now();
  const readings = step(tokenBatch(windows), { lr: 1e-4 });
  losses.push(await readings.loss.item());
  for (const reading of Object.values(readings)) reading.dispose();
  milliseconds.push(performance.now() - begin);
}
const { live, peak, pooled } = device.memory();
const gibibytes = (bytes: number) => bytes / 2 ** 30;
const result = {
  machine: machine(),
  date: new Date().toISOString(),
  command: `node --conditions=@x/source --import tsx bench/src/gpt2-train.ts ${threads}`,
  threads,
  parameters: model.numParameters,
  losses,
  milliseconds,
  live: gibibytes(live),
  peak: gibibytes(peak),
  pooled: gibibytes(pooled),
  rss: gibibytes(process.memoryUsage().rss),
};
console.log(result);
mkdirSync(new URL("../results/", import.meta.url), { recursive: true });
writeFileSync(new URL(`../results/gpt2-train-node${process.versions.node}.json`, import.meta.url), `${JSON.stringify(result, null, 1)}\n`);
device.close();
