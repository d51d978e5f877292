import type { Platform } from "./platform.ts";
import { browserWorkerSource } from "./worker-source.ts";

export const platform: Platform = {
  cores: () => navigator.hardwareConcurrency || 1,
  sharesMemory: () =>
    globalThis.crossOriginIsolated === true ||
    "the page is not cross-origin isolated (serve it with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp)",
  enableRelaxedSimd: () => {},
  spawn(start, { onError, workerUrl }) {
    const blob = workerUrl ? undefined : URL.createObjectURL(new Blob([browserWorkerSource], { type: "text/javascript" }));
    const worker = new Worker(workerUrl ?? blob!, { name: "kernels-wasm" });
    worker.onerror = (event) => {
      event.preventDefault();
      onError(new Error(event.message || "the worker could not start; a content policy must allow worker-src blob:, or pass workerUrl"));
    };
    worker.postMessage(start);
    return {
      terminate() {
        worker.terminate();
        if (blob) URL.revokeObjectURL(blob);
      },
    };
  },
};
