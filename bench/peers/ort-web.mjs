/** onnxruntime-web on its WebAssembly back end. */
import { createRequire } from "node:module";
import * as ort from "onnxruntime-web";
import { ortCompetitor } from "./ort.mjs";

export function competitor(variant) {
  const session = (bytes, threads) => {
    ort.env.wasm.numThreads = threads;
    return ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  };
  const version = ort.env.versions.web ?? createRequire(import.meta.url)("onnxruntime-web/package.json").version;
  // It returns the tensor it is handed for an output, without having written the result there (1.30.0).
  return ortCompetitor({ Tensor: ort.Tensor, version, session, copiesInputs: true, takesOutputs: false }, variant);
}
