import { adamw, sumOfSquares } from "@x/ops";
import type { Place } from "../device/launch.ts";
import { wasmKernel } from "./kernel.ts";
import { reduceMiddle } from "./reduce.ts";
import { product } from "./work.ts";

/** Elements of a unit. */
const chunk = 4096;

/** ln beta as two f32: one alone would lose five digits of 1 - beta^t at t = 1. */
function logarithm(beta: number): [number, number] {
  const exact = Math.log(Math.max(beta, 1e-30));
  const high = Math.fround(exact);
  return [high, exact - high];
}

export const adamwKernel = wasmKernel(adamw, {
  plan(p, { specs: { param }, attrs: { beta1, beta2, eps, weightDecay } }) {
    const count = product(param.shape);
    const [lnBeta1, lnBeta1Low] = logarithm(beta1);
    const [lnBeta2, lnBeta2Low] = logarithm(beta2);
    const state = { param: p.input("param"), grad: p.input("grad"), m: p.input("m"), v: p.input("v") };
    const made = { outParam: p.output("param"), outM: p.output("m"), outV: p.output("v") };
    const data = { lr: p.input("lr"), step: p.input("step"), skip: p.maybe("skip"), scale: p.maybe("gradScale") };
    const rates = { beta2, oneMinusBeta1: 1 - beta1, oneMinusBeta2: 1 - beta2, eps, weightDecay };
    const logarithms = { lnBeta1, lnBeta1Low, lnBeta2, lnBeta2Low };
    p.run("adamw", { ...state, ...made, ...data, ...rates, ...logarithms, count, chunk }, Math.ceil(count / chunk), 4 * chunk);
  },
});

/** A sum for each tensor, and the sum of those in order. */
export const sumOfSquaresKernel = wasmKernel(sumOfSquares, {
  plan(p, { specs: { xs } }) {
    const sums = p.scratch(4 * xs.length);
    const at = (i: number): Place => ({ ...sums, offset: 4 * i });
    for (const [i, x] of xs.entries())
      reduceMiddle(p, "squares", "f32", p.input("xs", i), at(i), { outer: 1, n: product(x.shape), inner: 1 });
    reduceMiddle(p, "sum", "f32", sums, p.output("y"), { outer: 1, n: xs.length, inner: 1 });
  },
});
