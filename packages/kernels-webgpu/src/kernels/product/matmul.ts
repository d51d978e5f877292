import { type Kernel, matmul } from "@x/tensor";
import { webgpuKernel } from "../kernel.ts";
import type { Planner } from "../planner.ts";
import { multiply, type Operand } from "./product.ts";
import type { Choose } from "./tiles.ts";

/** An input as matrices over the leading axes of the result. */
export function operand(p: Planner, name: string, lead: number): Operand {
  const place = p.strided(name);
  const { offset, strides, shape } = place;
  const own = shape.length - 2;
  const batch = Array.from({ length: lead }, (_, i) => {
    const axis = i - (lead - own);
    return axis < 0 || shape[axis] === 1 ? 0 : strides[axis]!;
  });
  return { place, offset, batch, row: strides[own]!, column: strides[own + 1]! };
}

/** Batched products of operands with any strides, leading axes broadcast in place; `choose` forces a member of the portfolio. */
export const matmulBy = (choose?: Choose): Kernel =>
  webgpuKernel(matmul, {
    layout: { a: "strided", b: "strided" },
    plan(p, { specs: { a }, outputs: { y } }) {
      const batch = y.shape.slice(0, -2);
      const [m, n] = y.shape.slice(-2) as [number, number];
      const operands = { a: operand(p, "a", batch.length), b: operand(p, "b", batch.length) };
      multiply(p, { ...operands, batch, m, n, k: a.shape.at(-1)!, y: "y" }, choose);
    },
  });

export const matmulKernel = matmulBy();
