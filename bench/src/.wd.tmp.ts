import { wasm, Threads, abi } from "@x/kernels-wasm";
import { GPT2 } from "@x/models";
import { adamW } from "@x/optim";
import { setDefaultDevice, Generator, withGenerator } from "@x/tensor";
import { languageLoss, tokenBatch, trainStep } from "@x/train";
const threads = Number(process.env.T ?? 2);
const device = await wasm({ threads, ...(process.env.B && { build: process.env.B as never }) });
setDefaultDevice(device);
const [B, L, V] = [12, 64, 65];
const model = new GPT2({ vocabSize: V, maxLength: L, dim: 128, numLayers: 4, numHeads: 4 });
const optimizer = adamW({ betas: [0.9, 0.99], weightDecay: 0.1 }).init(model.namedParameters());
const step = trainStep({ optimizer, loss: languageLoss(model) as never, clipNorm: 1 });
let s = 1;
const next = () => ((s = (s * 1103515245 + 12345) >>> 0) >>> 16) % V;
const text = Int32Array.from({ length: 100000 }, (_, i) => (i * 7 + (i >> 3)) % V);
const batch = () => {
  const inputs = new Int32Array(B * L), targets = new Int32Array(B * L);
  for (let b = 0; b < B; b++) { const at = next() * 500; inputs.set(text.subarray(at, at + L), b * L); targets.set(text.subarray(at + 1, at + 1 + L), b * L); }
  return tokenBatch({ inputs, targets, shape: [B, L] }) as never;
};
const run = async () => { const r = step(batch(), { lr: 1e-3 }); const l = await r.loss.item(); for (const x of Object.values(r)) x.dispose(); return l; };
const t0 = performance.now();
console.log("loss", await run(), "first", (performance.now() - t0).toFixed(0), "ms");
for (let i = 0; i < 20; i++) await run();
const m1 = device.memory();
const times: number[] = [];
for (let i = 0; i < 40; i++) { const t = performance.now(); await run(); times.push(performance.now() - t); }
times.sort((a, b) => a - b);
console.log("loss", await run(), "median", times[20]!.toFixed(2), "min", times[0]!.toFixed(2), "ms; live", m1.live, device.memory().live, "alloc", m1.allocations, device.memory().allocations, "launches/step", device.figures.launches / 62);
// profile
const spent = new Map<string, [number, number]>();
const original = Threads.prototype.parallelFor;
let names: Map<number, string> | undefined;
Threads.prototype.parallelFor = function (k, a, u, g) {
  names ??= new Map(Object.keys(abi).map((n) => [this.kernel(n), n]));
  const t = performance.now();
  original.call(this, k, a, u, g);
  const e = performance.now() - t;
  const key = `${names.get(k) ?? `program${k}`} u${u} g${g}`;
  const p = spent.get(key) ?? [0, 0];
  spent.set(key, [p[0] + e, p[1] + 1]);
};
const N = 20;
for (let i = 0; i < N; i++) await run();
let total = 0;
for (const [, [ms]] of spent) total += ms;
console.log("in kernels", (total / N).toFixed(2), "ms");
for (const [k, [ms, n]] of [...spent].sort((a, b) => b[1][0] - a[1][0]).slice(0, 30)) console.log(`${(ms / N).toFixed(3)} ms  ${n / N}x  ${k}`);
device.close();
