/** tfjs on its WebAssembly back end (SIMD; in Node it has one thread) or, as the variant `webgpu`, on that. */
import { createRequire } from "node:module";
import { batched, joined, timed } from "../src/competitor.ts";

const require = createRequire(import.meta.url);

export function competitor(variant = "wasm") {
  return {
    version: () => require("@tensorflow/tfjs").version["tfjs-core"],
    async prepare({ work, inputs, seed }) {
      if (["blocks", "layer", "blockmap", "decode"].includes(work.kind) || work.dtype) return undefined; // it has no f16
      const dawn = variant === "webgpu" ? await import("../src/dawn.ts") : undefined;
      const gpu = dawn?.installWebGPU();
      const tf = require("@tensorflow/tfjs");
      require(`@tensorflow/tfjs-backend-${variant}`);
      tf.env().set("PROD", true);
      if (!(await tf.setBackend(variant))) throw new Error(`tfjs: its back end ${variant} did not start.`);
      await tf.ready();
      if (work.kind !== "gpt") return { ...prepareOp(tf, work, inputs, gpu), adapter: gpu?.adapter() };
      const prepared = await (await import("./tfjs-gpt.mjs")).prepareGPT(tf, work, inputs, seed);
      return { ...prepared, ...(gpu && { adapter: gpu.adapter(), demands: () => dawn.demands(prepared.sample) }) };
    },
  };
}

/** Layer norm over the last axis from tfjs's own operations; tfjs has no fused one. */
export function layerNorm(tf, x, weight, bias, eps) {
  const { mean, variance } = tf.moments(x, -1, true);
  return x.sub(mean).mul(variance.add(eps).rsqrt()).mul(weight).add(bias);
}

/** GELU by tanh from tfjs's own operations. */
export function gelu(x) {
  return x.mul(0.5).mul(
    x
      .add(x.mul(x).mul(x).mul(0.044715))
      .mul(Math.sqrt(2 / Math.PI))
      .tanh()
      .add(1),
  );
}

/** Waits for all that was recorded. Its open pass must be ended first: submitted with it, nothing would run. */
async function settled(backend, gpu) {
  backend.endComputePassEncoder();
  if (backend.commandEncoder) backend.submitQueue();
  await gpu.settled();
}

function prepareOp(tf, work, inputs, gpu) {
  const array = (name, shape) => tf.tensor(inputs[name], shape);
  const shape = [work.rows, work.cols];
  const run = {
    gemm: () => {
      const [a, b] = [array("a", [work.m, work.k]), array("b", [work.k, work.n])];
      return () => tf.matMul(a, b);
    },
    softmax: () => {
      const x = array("x", shape);
      return () => tf.softmax(x);
    },
    gelu: () => {
      const x = array("x", shape);
      return () => tf.tidy(() => gelu(x));
    },
    layernorm: () => {
      const [x, weight, bias] = [array("x", shape), array("weight", [work.cols]), array("bias", [work.cols])];
      return () => tf.tidy(() => layerNorm(tf, x, weight, bias, 1e-5));
    },
    attention: () => {
      const shape = [work.heads, work.tokens, work.width];
      const given = ["q", "k", "v"].map((name) => array(name, shape));
      const ones = tf.ones([work.tokens, work.tokens]);
      const mask = work.causal ? tf.linalg.bandPart(ones, -1, 0).sub(1).mul(1e9) : undefined;
      const attend = (query, key, value) => {
        const scores = tf.matMul(query, key, false, true).mul(1 / Math.sqrt(work.width));
        return tf.matMul(tf.softmax(mask ? scores.add(mask) : scores), value);
      };
      if (!work.training) return () => tf.tidy(() => attend(...given));
      const [gradients, g] = [tf.grads(attend), array("g", shape)];
      return () => tf.tidy(() => gradients(given, g));
    },
  }[work.kind]();
  return {
    threads: 1,
    output: async () => joined(await Promise.all([run()].flat().map((y) => y.data()))),
    sample: gpu
      ? batched(async (times) => {
          for (let i = 0; i < times; i++) tf.dispose(run());
          await settled(tf.backend(), gpu);
        })
      : timed(() => tf.dispose(run())),
  };
}
