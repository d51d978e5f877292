import { matmul } from "@x/tensor";
import { wasmKernel } from "./kernel.ts";
import type { Planner } from "./planner.ts";
import { multiply, type Operand } from "./product.ts";

/** An input as matrices over the leading axes of the result. */
function operand(p: Planner, name: "a" | "b", lead: number): Operand {
  const { place, strides, shape } = p.strided(name);
  const own = shape.length - 2;
  const batch = Array.from({ length: lead }, (_, i) => {
    const axis = i - (lead - own);
    return axis < 0 || shape[axis] === 1 ? 0 : strides[axis]!;
  });
  return { place, batch, row: strides[own]!, column: strides[own + 1]! };
}

/** Batched products of operands with any strides; leading axes broadcast in place. */
export const matmulKernel = wasmKernel(matmul, {
  layout: { a: "strided", b: "strided" },
  plan(p, { specs: { a }, outputs: { y } }) {
    const batch = y.shape.slice(0, -2);
    const [m, n] = y.shape.slice(-2) as [number, number];
    const operands = { a: operand(p, "a", batch.length), b: operand(p, "b", batch.length) };
    multiply(p, { ...operands, batch, m, n, k: a.shape.at(-1)!, c: p.output("y") });
  },
});
