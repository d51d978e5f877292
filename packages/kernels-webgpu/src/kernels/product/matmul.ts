import { collapse, matmul } from "@x/tensor";
import { webgpuKernel } from "../kernel.ts";
import type { Strided } from "../planner.ts";
import { type Operand, operand } from "./operand.ts";
import { multiply } from "./product.ts";

/** Strides of leading axes against the result's, 0 where an operand is repeated. */
function leading({ shape, strides }: Strided, rank: number): number[] {
  const own = shape.length - 2;
  return Array.from({ length: rank }, (_, axis) => {
    const at = axis - (rank - own);
    return at < 0 || shape[at] === 1 ? 0 : strides[at]!;
  });
}

/** A matrix, or a batch of them, where it lies. */
function matrix(from: Strided, batch: readonly number[]): Operand {
  const [rows, columns] = from.shape.slice(-2) as [number, number];
  const [row, column] = from.strides.slice(-2) as [number, number];
  return operand(from, batch, row, column, rows, columns);
}

export const matmulKernel = webgpuKernel(matmul, {
  layout: { a: "strided", b: "strided" },
  plan(p, { specs: { a, b }, outputs: { y } }) {
    const [m, k] = a.shape.slice(-2) as [number, number];
    const n = b.shape.at(-1)!;
    const lead = y.shape.slice(0, -2);
    const forwards = (name: "a" | "b") => {
      const from = p.strided(name);
      return from.strides.some((stride) => stride < 0) ? p.contiguous(from) : from;
    };
    const [left, right] = [forwards("a"), forwards("b")];
    const { extents, strides } = collapse(lead, [leading(left, lead.length), leading(right, lead.length)]);
    multiply(
      p,
      {
        ...{ batch: extents, m, n, k, activation: "none", y: p.output("y") },
        a: matrix(left, strides[0]!),
        b: matrix(right, strides[1]!),
      },
      "matmul",
    );
  },
});
