/** onnxruntime-node on the CPU: native code with the machine's widest vectors. */
import ort from "onnxruntime-node";
import { ortCompetitor } from "./ort.mjs";

export function competitor(variant) {
  const session = (bytes, threads) =>
    ort.InferenceSession.create(bytes, {
      executionProviders: ["cpu"],
      graphOptimizationLevel: "all",
      executionMode: "sequential",
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
    });
  return ortCompetitor({ Tensor: ort.Tensor, version: ort.env.versions.node, session, copiesInputs: false, takesOutputs: true }, variant);
}
