/** jax-js on its WebAssembly back end or, as the variant `webgpu`, on that; every workload under `jit`. */
import { readFileSync } from "node:fs";
import { batched, joined, timed } from "../src/competitor.ts";
import { installIteratorHelpers, installWorkers } from "./browser-shims.mjs";

export function competitor(variant = "wasm") {
  return {
    version: () => installedVersion(),
    async prepare({ work, inputs, threads, seed }) {
      installIteratorHelpers();
      if (["blocks", "layer", "blockmap", "decode"].includes(work.kind) || work.dtype) return undefined; // Node 20 has no Float16Array, through which it takes f16
      const dawn = variant === "webgpu" ? await import("../src/dawn.ts") : undefined;
      const gpu = dawn?.installWebGPU();
      if (!gpu) installWorkers(threads);
      const jax = await import("@jax-js/jax");
      await jax.init(variant);
      jax.defaultDevice(variant);
      if (work.kind !== "gpt") return { ...prepareOp(jax, work, inputs, gpu ? batched : once), adapter: gpu?.adapter() };
      const prepared = await (await import("./jax-gpt.mjs")).prepareGPT(jax, work, inputs, seed);
      return { ...prepared, ...(gpu && { adapter: gpu.adapter(), demands: () => dawn.demands(prepared.sample) }) };
    },
  };
}

const once = (run) => timed(() => run(1));

function prepareOp({ numpy: np, nn, jit, grad, blockUntilReady }, work, inputs, sampler) {
  const array = (name, shape) => np.array(inputs[name], { shape });
  const shape = [work.rows, work.cols];
  const heads = [1, work.heads, work.tokens, work.width];
  const byToken = (x) => np.transpose(x, [0, 2, 1, 3]); // its attention wants heads behind tokens
  const [f, args] = {
    gemm: () => [(a, b) => np.matmul(a, b), [array("a", [work.m, work.k]), array("b", [work.k, work.n])]],
    softmax: () => [(x) => nn.softmax(x, -1), [array("x", shape)]],
    gelu: () => [(x) => nn.gelu(x, { approximate: true }), [array("x", shape)]],
    layernorm: () => [
      (x, weight, bias) => nn.standardize(x, -1, { epsilon: 1e-5 }).mul(weight).add(bias),
      [array("x", shape), array("weight", [work.cols]), array("bias", [work.cols])],
    ],
    attention: () => {
      const attend = (query, key, value) => nn.dotProductAttention(query, key, value, { isCausal: work.causal });
      const loss = (query, key, value, g) => np.sum(attend(query, key, value).mul(g));
      const names = work.training ? ["q", "k", "v", "g"] : ["q", "k", "v"];
      return [work.training ? grad(loss, { argnums: [0, 1, 2] }) : attend, names.map((name) => byToken(array(name, heads)))];
    },
  }[work.kind]();
  const run = jit(f);
  const call = () => [run(...args.map((each) => each.ref))].flat();
  return {
    output: async () => {
      const parts = [];
      for (const y of call()) parts.push(await (work.kind === "attention" ? byToken(y) : y).data());
      return joined(parts);
    },
    // What is disposed before it was waited for is never run, so all are kept to the end.
    sample: sampler(async (times) => {
      const all = Array.from({ length: times }, call).flat();
      await blockUntilReady(all);
      for (const y of all) y.dispose();
    }),
  };
}

function installedVersion() {
  return JSON.parse(readFileSync(new URL("../package.json", import.meta.resolve("@jax-js/jax")), "utf8")).version;
}
