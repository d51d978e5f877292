import { linear } from "@x/ops";
import { sizeOf } from "@x/tensor";
import { webgpuKernel } from "../kernel.ts";
import { dense, type Strided } from "../planner.ts";
import { operand } from "./operand.ts";
import { multiply } from "./product.ts";

export const linearKernel = webgpuKernel(linear, {
  layout: { weight: "strided" },
  plan(p, { specs: { x, weight }, attrs: { activation } }) {
    const [n, k] = weight.shape as [number, number];
    const m = sizeOf(x.shape.slice(0, -1));
    const given = p.strided("weight");
    const w: Strided = given.strides.some((stride) => stride < 0) ? p.contiguous(given) : given;
    const maybe = (name: string) => (p.has(name) ? p.input(name) : undefined);
    multiply(
      p,
      {
        ...{ batch: [], m, n, k, activation, y: p.output("y"), pre: p.wanted("pre"), bias: maybe("bias"), residual: maybe("residual") },
        a: operand(dense(p.input("x"), [m, k]), [], k, 1, m, k),
        // The transpose of the weight, where it lies.
        b: operand(w, [], w.strides[1]!, w.strides[0]!, k, n),
      },
      "linear",
    );
  },
});
