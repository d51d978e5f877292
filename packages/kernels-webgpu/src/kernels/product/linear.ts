import { linear } from "@x/ops";
import { type Kernel, sizeOf } from "@x/tensor";
import { webgpuKernel } from "../kernel.ts";
import { operand } from "./matmul.ts";
import { multiply } from "./product.ts";
import type { Choose } from "./tiles.ts";

/** The kernel of linear layers; `choose` forces a member of the portfolio. */
export const linearBy = (choose?: Choose): Kernel =>
  webgpuKernel(linear, {
    layout: { weight: "strided" },
    plan(p, { specs: { x, weight }, attrs: { activation }, wants }) {
      const [n, k] = weight.shape as [number, number];
      const w = operand(p, "weight", 0);
      const maybe = (name: string) => (p.has(name) ? p.input(name) : undefined);
      multiply(
        p,
        {
          ...{ batch: [], m: sizeOf(x.shape.slice(0, -1)), n, k, activation, y: "y", pre: wants("pre") ? "pre" : undefined },
          a: { place: p.input("x"), offset: 0, batch: [], row: k, column: 1 },
          // The transpose of the weight, where it lies.
          b: { ...w, row: w.column, column: w.row },
          ...{ bias: maybe("bias"), residual: maybe("residual") },
        },
        choose,
      );
    },
  });

export const linearKernel = linearBy();
