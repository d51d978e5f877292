import { isTraining, joinHeads, splitHeads } from "@x/nn";
import { attention } from "@x/ops";
import { currentGenerator, ShapeError, show, Tensor, TensorError } from "@x/tensor";
import type { Columns } from "./hidden.ts";

/** What attention is asked with, heads side by side: q [batch, queries, dim], k and v [batch, keys, dim]. */
export interface Asked {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  /** bool [batch, keys]. */
  readonly keyMask?: Tensor | undefined;
  /** A block map of queries over keys; absent: everyone looks at everything. */
  readonly map?: Tensor | undefined;
  /** Columns that every head has more, [batch, queries, n] and [batch, keys, n]. */
  readonly more?: Columns | undefined;
}
export interface How {
  readonly numHeads: number;
  readonly scale: number;
  readonly dropout: number;
}

/** Attention of heads that stand side by side, [batch, queries, dim], with weights dropped while training. `who` is the layer. */
export function attendHeads(who: string, { q, k, v, keyMask, map, more }: Asked, { numHeads, scale, dropout }: How): Tensor {
  const heads = (x: Tensor, columns?: Tensor) => {
    const split = splitHeads(x, numHeads);
    if (!columns) return split;
    const [batch, length, count] = columns.shape as [number, number, number];
    return Tensor.concat([split, columns.unsqueeze(1).expand([batch, numHeads, length, count])], 3);
  };
  const inputs = { q: heads(q, more?.q), k: heads(k, more?.k), v: heads(v), keyMask, map };
  if (dropout === 0 || !isTraining()) return joinHeads(attention(inputs, { scale }));
  const generator = currentGenerator(who);
  return joinHeads(attention({ ...inputs, key: generator.key }, { scale, dropout, ordinal: generator.nextOrdinal() }));
}

/** Rows [batch, length, width] where a bool [batch, length] is true, zeros elsewhere, which get no gradient. */
export const keepRows = (kept: Tensor | undefined, x: Tensor): Tensor =>
  kept ? kept.unsqueeze(-1).expand(x.shape).where(x, x.zerosLike()) : x;

/** Checks x [batch, length, dim] and masks bool [batch, length]. */
export function checkInput(who: string, x: Tensor, dim: number, masks: Readonly<Record<string, Tensor | undefined>>): void {
  if (x.shape.length !== 3 || x.shape[2] !== dim) throw new ShapeError(`${who}: x must be [batch, length, ${dim}], got ${show(x.shape)}.`);
  const rows = show(x.shape.slice(0, 2));
  for (const [name, mask] of Object.entries(masks))
    if (mask && (mask.dtype !== "bool" || show(mask.shape) !== rows))
      throw new ShapeError(`${who}: ${name} must be bool ${rows}, got ${mask.dtype} ${show(mask.shape)}. Make numbers bool with .ne(0).`);
}

/** headDim, from dim and numHeads where it is not given. */
export function headDimOf(
  who: string,
  { dim, numHeads, headDim = dim / numHeads }: { dim: number; numHeads: number; headDim?: number },
): number {
  if (!Number.isInteger(headDim))
    throw new ShapeError(`${who}: dim ${dim} must be a multiple of numHeads ${numHeads}, or headDim be given.`);
  return headDim;
}

export function checkRates(who: string, { scale, dropout }: Omit<How, "numHeads">): void {
  if (!Number.isFinite(scale) || scale === 0) throw new TensorError(`${who}: scale must be a finite number other than 0, got ${scale}.`);
  if (!(dropout >= 0 && dropout <= 1)) throw new TensorError(`${who}: dropout must be a probability from 0 to 1, got ${dropout}.`);
}
