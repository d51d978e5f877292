import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import type { Platform } from "./platform.ts";
import { nodeWorkerSource } from "./worker-source.ts";

export const platform: Platform = {
  cores: () => availableParallelism(),
  sharesMemory: () => true,
  // Node 20 has relaxed SIMD behind a flag that also works after start, before a module is compiled. Later versions dropped the flag.
  enableRelaxedSimd: () => {
    if (Number(process.versions.node.split(".")[0]) < 22) setFlagsFromString("--experimental-wasm-relaxed-simd");
  },
  spawn(start, { onError }) {
    const worker = new Worker(nodeWorkerSource, { eval: true, workerData: start, execArgv: [], name: "kernels-wasm" });
    worker.on("error", onError);
    worker.unref();
    return { terminate: () => void worker.terminate() };
  },
};
