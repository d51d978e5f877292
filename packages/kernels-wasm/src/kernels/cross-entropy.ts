import { crossEntropy, crossEntropyBackward } from "@x/ops";
import { wasmKernel } from "./kernel.ts";
import { product } from "./work.ts";

export const crossEntropyKernel = wasmKernel(crossEntropy, {
  plan(p, { specs: { logits, targets }, attrs: { ignoreIndex } }) {
    const [rows, n] = [product(targets.shape), logits.shape.at(-1)!];
    const lse = p.wanted("logSumExp") ?? p.scratch(4 * rows);
    const places = { loss: p.output("loss"), lse, logits: p.input("logits"), targets: p.input("targets") };
    p.run("cross_entropy", { ...places, n, ignore: ignoreIndex }, rows, 3 * n);
  },
});

export const crossEntropyBackwardKernel = wasmKernel(crossEntropyBackward, {
  plan(p, { specs: { logits, targets }, attrs: { ignoreIndex } }) {
    const [rows, n] = [product(targets.shape), logits.shape.at(-1)!];
    const upstream = { dloss: p.maybe("dLoss"), dlse: p.maybe("dLogSumExp") };
    const places = { dlogits: p.output("dLogits"), logits: p.input("logits"), lse: p.input("logSumExp"), targets: p.input("targets") };
    p.run("cross_entropy_grad", { ...places, ...upstream, n, ignore: ignoreIndex }, rows, 3 * n);
  },
});
