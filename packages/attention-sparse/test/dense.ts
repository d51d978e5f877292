import type { Linear } from "@x/nn";
import { softmax } from "@x/ops";
import { type Cell, grad, type Tensor, tensor } from "@x/tensor";
import { expect } from "vitest";

/** How often query i of an entry and head sees key j. */
export type Sight = (i: number, j: number, entry: number, head: number) => number;

const splitHeads = (x: Tensor, heads: number): Tensor =>
  x.reshape([x.shape[0]!, x.shape[1]!, heads, x.shape[2]! / heads]).permute([0, 2, 1, 3]);

/** Counts for each score [batch, heads, queries, keys]. */
function counted({ shape: [batch, heads, queries, keys], device }: Tensor, sight: Sight): Tensor {
  const data = new Float32Array(batch! * heads! * queries! * keys!);
  let at = 0;
  for (let b = 0; b < batch!; b++)
    for (let h = 0; h < heads!; h++) for (let i = 0; i < queries!; i++) for (let j = 0; j < keys!; j++) data[at++] = sight(i, j, b, h);
  return tensor(data, { shape: [batch!, heads!, queries!, keys!], device });
}

/** Softmax attention of heads side by side [batch, length, width] by a full matrix of counts: m times is m equal keys; a query that sees nothing gives zeros. */
export function dense({ q, k, v }: Record<"q" | "k" | "v", Tensor>, numHeads: number, sight: Sight, scale?: number): Tensor {
  const [heads, keys, values] = [splitHeads(q, numHeads), splitHeads(k, numHeads), splitHeads(v, numHeads)];
  const scores = heads.matmul(keys.transpose()).mul(scale ?? heads.shape[3]! ** -0.5);
  const counts = counted(scores, sight);
  const seen = counts.gt(0);
  const weights = seen.where(softmax({ x: seen.where(scores.add(counts.maximum(1).log()), -1e30) }), 0);
  return weights.matmul(values).permute([0, 2, 1, 3]).reshape(q.shape);
}

/** bool [batch, length] from a function. */
export const mask = (batch: number, length: number, at: (entry: number, i: number) => boolean): Tensor =>
  tensor(
    Array.from({ length: batch * length }, (_, n) => at(Math.floor(n / length), n % length)),
    { shape: [batch, length] },
  );

export const projected = (x: Tensor, layers: Record<"q" | "k" | "v", Linear>): Record<"q" | "k" | "v", Tensor> => ({
  q: layers.q.forward(x),
  k: layers.k.forward(x),
  v: layers.v.forward(x),
});

/** Values and gradients of two ways to compute one thing, by the cells and by x. */
export async function expectSame(
  run: (x: Tensor) => Tensor,
  other: (x: Tensor) => Tensor,
  x: Tensor,
  cells: readonly Cell[],
  tolerance = { atol: 3e-6, rtol: 1e-5 },
): Promise<void> {
  await expect(run(x)).toBeCloseToTensor(other(x), tolerance);
  const weight = (y: Tensor) => y.mul(y.add(0.3)).sum();
  const gradients = (f: (x: Tensor) => Tensor) => grad(() => weight(f(x)), [x, ...cells] as never) as readonly Tensor[];
  const [ours, theirs] = [gradients(run), gradients(other)];
  for (const [i, gradient] of ours.entries()) await expect(gradient).toBeCloseToTensor(theirs[i]!, { atol: 2e-4, rtol: 1e-4 });
}
