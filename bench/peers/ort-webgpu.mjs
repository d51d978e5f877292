/**
 * onnxruntime-web on its WebGPU execution provider: inputs and outputs stay on the device. `webgpu-composed` makes attention of
 * products and a softmax; the operator that `webgpu` uses needs larger subgroups than software adapters have, and is wrong there.
 */
import { readFileSync } from "node:fs";
import { batched } from "../src/competitor.ts";
import { acceptSharedMemory, installWebGPU } from "../src/dawn.ts";
import { byHead, byToken } from "../src/heads.ts";
import { attentionModel, composedAttentionModel, gemmModel, rowsModel } from "../src/onnx-graphs.ts";

export function competitor(variant) {
  return {
    version: () => JSON.parse(readFileSync(new URL("../package.json", import.meta.resolve("onnxruntime-web/webgpu")), "utf8")).version,
    async prepare({ work, inputs }) {
      if (["gpt", "blocks", "layer", "blockmap", "decode"].includes(work.kind) || work.dtype || work.training) return undefined; // trains nothing
      const composed = variant === "webgpu-composed";
      if (composed && work.kind !== "attention") return undefined;
      const gpu = installWebGPU();
      acceptSharedMemory();
      const ort = await import("onnxruntime-web/webgpu");
      ort.env.wasm.numThreads = 1;
      const { model, feeds } = modelOf(work, inputs, composed);
      const options = { executionProviders: ["webgpu"], graphOptimizationLevel: "all", preferredOutputLocation: "gpu-buffer" };
      const session = await ort.InferenceSession.create(model, options);
      const placed = Object.fromEntries(
        Object.entries(feeds).map(([name, { shape, data }]) => [name, place(ort, gpu.device(), data, shape)]),
      );
      return {
        adapter: gpu.adapter(),
        output: async () => {
          const { y } = await session.run(placed);
          const data = Float32Array.from(await y.getData());
          return work.kind === "attention" && !composed ? byHead(work, data) : data;
        },
        sample: batched(async (times) => {
          for (let i = 0; i < times; i++) (await session.run(placed)).y.dispose();
          await gpu.settled();
        }),
      };
    },
  };
}

function modelOf(work, inputs, composed) {
  if (work.kind === "gemm") {
    const { m, k, n } = work;
    const feeds = { a: { shape: [m, k], data: inputs.a }, b: { shape: [k, n], data: inputs.b } };
    return { model: gemmModel(work, inputs, false), feeds };
  }
  if (work.kind === "attention") {
    const { heads, tokens, width } = work;
    const shape = composed ? [heads, tokens, width] : [1, tokens, heads * width];
    const given = (name) => ({ shape, data: composed ? inputs[name] : byToken(work, inputs[name]) });
    const feeds = Object.fromEntries(["q", "k", "v"].map((name) => [name, given(name)]));
    return { model: composed ? composedAttentionModel(work) : attentionModel(work), feeds };
  }
  return { model: rowsModel(work, inputs, 1), feeds: { x: { shape: [work.rows, work.cols], data: inputs.x } } };
}

function place(ort, device, data, dims) {
  const { STORAGE, COPY_SRC, COPY_DST } = globalThis.GPUBufferUsage;
  const buffer = device.createBuffer({ size: data.byteLength, usage: STORAGE | COPY_SRC | COPY_DST });
  device.queue.writeBuffer(buffer, 0, data);
  return ort.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims });
}
