/** jax-js on its WebAssembly back end, every workload under `jit`. */
import { createRequire } from "node:module";
import { timed } from "../src/competitor.ts";
import { installIteratorHelpers, installWorkers } from "./browser-shims.mjs";

export function competitor() {
  return {
    version: () => installedVersion(),
    async prepare({ work, inputs, threads, seed }) {
      installIteratorHelpers();
      installWorkers(threads);
      const jax = await import("@jax-js/jax");
      await jax.init("wasm");
      jax.defaultDevice("wasm");
      if (work.kind === "blocks") return undefined;
      if (work.kind === "baby") return (await import("./jax-baby.mjs")).prepareBaby(jax, inputs, seed);
      return prepareOp(jax, work, inputs);
    },
  };
}

function prepareOp({ numpy: np, nn, jit }, work, inputs) {
  const array = (name, shape) => np.array(inputs[name], { shape });
  const shape = [work.rows, work.cols];
  const [f, args] = {
    gemm: () => [(a, b) => np.matmul(a, b), [array("a", [work.m, work.k]), array("b", [work.k, work.n])]],
    softmax: () => [(x) => nn.softmax(x, -1), [array("x", shape)]],
    gelu: () => [(x) => nn.gelu(x, { approximate: true }), [array("x", shape)]],
    layernorm: () => [
      (x, weight, bias) => nn.standardize(x, -1, { epsilon: 1e-5 }).mul(weight).add(bias),
      [array("x", shape), array("weight", [work.cols]), array("bias", [work.cols])],
    ],
  }[work.kind]();
  const run = jit(f);
  const call = () => run(...args.map((each) => each.ref));
  return {
    output: async () => Float32Array.from(await call().data()),
    sample: timed(async () => {
      const y = call();
      await y.blockUntilReady();
      y.dispose();
    }),
  };
}

function installedVersion() {
  const path = createRequire(import.meta.url)
    .resolve("@jax-js/jax")
    .replace(/dist[\\/].*$/, "package.json");
  return createRequire(import.meta.url)(path).version;
}
