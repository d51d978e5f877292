/** tfjs on its WebAssembly back end (SIMD; in Node it has one thread). */
import { createRequire } from "node:module";
import { timed } from "../src/competitor.ts";

const require = createRequire(import.meta.url);

export function competitor() {
  return {
    version: () => require("@tensorflow/tfjs").version["tfjs-core"],
    async prepare({ work, inputs, seed }) {
      const tf = require("@tensorflow/tfjs");
      require("@tensorflow/tfjs-backend-wasm");
      tf.env().set("PROD", true);
      await tf.setBackend("wasm");
      await tf.ready();
      if (work.kind === "blocks") return undefined;
      if (work.kind === "baby") return (await import("./tfjs-baby.mjs")).prepareBaby(tf, inputs, seed);
      return prepareOp(tf, work, inputs);
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

function prepareOp(tf, work, inputs) {
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
  }[work.kind]();
  return {
    threads: 1,
    output: async () => Float32Array.from(run().dataSync()),
    sample: timed(() => run().dispose()),
  };
}
