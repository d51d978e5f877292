import { linear } from "@x/ops";
import { wasmKernel } from "./kernel.ts";
import { multiply } from "./product.ts";
import { product } from "./work.ts";

const names = { none: "identity", relu: "relu", gelu: "geluErf", geluTanh: "geluTanh", silu: "silu" } as const;

export const linearKernel = wasmKernel(linear, {
  layout: { weight: "strided" },
  plan(p, { specs: { x, weight }, attrs: { activation } }) {
    const [n, k] = weight.shape as [number, number];
    const w = p.strided("weight");
    multiply(p, {
      ...{ batch: [], m: product(x.shape.slice(0, -1)), n, k },
      a: { place: p.input("x"), batch: [], row: k, column: 1 },
      b: { place: w.place, batch: [], row: w.strides[1]!, column: w.strides[0]! },
      ...{ c: p.output("y"), pre: p.wanted("pre"), bias: p.maybe("bias"), residual: p.maybe("residual"), activation: names[activation] },
    });
  },
});
