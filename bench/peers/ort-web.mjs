/** onnxruntime-web on its WebAssembly back end; the variants on WebGPU have a file of their own. */
import { createRequire } from "node:module";
import { ortCompetitor } from "./ort.mjs";

export async function competitor(variant) {
  if (variant?.startsWith("webgpu")) return (await import("./ort-webgpu.mjs")).competitor(variant);
  const ort = await import("onnxruntime-web");
  const session = (bytes, threads) => {
    ort.env.wasm.numThreads = threads;
    return ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  };
  const version = ort.env.versions.web ?? createRequire(import.meta.url)("onnxruntime-web/package.json").version;
  // It returns the tensor it is handed for an output, without having written the result there (1.30.0).
  return ortCompetitor({ Tensor: ort.Tensor, version, session, copiesInputs: true, takesOutputs: false }, variant);
}
