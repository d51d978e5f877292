/**
 * PyTorch on the CPU or, as the variant `cuda`, on that; in a Python that has it: `BENCH_PYTHON=/path/to/python`. For the ratio
 * only; absent without it.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { curveSteps, gptBatch, gptShapes, training } from "../src/gpt.ts";
import { blockShapes } from "../src/workloads.ts";

/** Batches written for Python; after these it begins again. */
const batches = 200;

export function competitor(variant = "cpu") {
  let version = "";
  return {
    version: () => version,
    async prepare({ work, inputs, threads, seed }) {
      const python = process.env.BENCH_PYTHON;
      if (!python) return undefined;
      const folder = mkdtempSync(join(tmpdir(), "bench-torch-"));
      process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
      for (const [name, data] of Object.entries(inputs)) writeFileSync(join(folder, `${name}.bin`), data);
      if (work.kind === "gpt") writeFileSync(join(folder, "batches.bin"), allBatches(work.sizes, seed));
      const shapes = work.kind === "gpt" ? gptShapes(work.sizes) : work.kind === "blocks" ? blockShapes(work.dim) : [];
      const { ask, close } = start(python);
      const started = await ask({ work, threads, folder, shapes, training, curveSteps, device: variant });
      version = started.version;
      return {
        adapter: started.adapter,
        output: async () => new Float32Array(new Uint8Array(readFileSync(join(folder, "output.bin"))).buffer),
        sample: async () => (await ask({})).ms,
        peakBytes: async () => (await ask({ what: "peak" })).bytes,
        close,
      };
    },
  };
}

function start(python) {
  const child = spawn(python, [fileURLToPath(new URL("./torch_run.py", import.meta.url))], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (request) => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error("bench: the Python process of BENCH_PYTHON ended without an answer; does it have torch and numpy?");
    return JSON.parse(value);
  };
  return { ask, close: () => child.stdin.end() };
}

function allBatches(sizes, seed) {
  const size = sizes.batch * sizes.context;
  const all = new Int32Array(batches * 2 * size);
  for (let step = 0; step < batches; step++) {
    const { x, y } = gptBatch(sizes, step, seed);
    all.set(x, 2 * step * size);
    all.set(y, (2 * step + 1) * size);
  }
  return all;
}
