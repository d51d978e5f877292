import { sizeOf } from "@x/tensor";
import { type Param, u32 } from "../../device/launch.ts";
import type { Place, Planner, Use } from "../planner.ts";
import { type Epilogue, storeSource } from "./epilogue.ts";
import { blockSource, type Operand } from "./operand.ts";
import { depthOf, directSource, mergeSource, sharedSource, side, vectorSource } from "./sources.ts";
import { type Tiling, tilingFor } from "./tiles.ts";

/** y[batch, m, n] = sum over k of a[batch, m, k] b[batch, k, n], then the epilogue. */
export interface Product extends Epilogue {
  /** Extents of the batch axes. */
  readonly batch: readonly number[];
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: Operand;
  readonly b: Operand;
  readonly y: Place;
}

/** Rows up to which a GPU does better by sharing out each sum than by tiles. */
const fewRows = 4;

/** Launches of a product: one, or two where the sum is split. */
export function multiply(p: Planner, product: Product, label: string): void {
  const { batch, m, n, k } = product;
  const batches = sizeOf(batch);
  if (batches * m * n === 0) return;
  const tiling = tilingFor(m, n, k, batches, p.caps.software);
  if (tiling.shared && m <= fewRows) vector(p, product, label, batches);
  else if (tiling.split > 1) split(p, product, label, tiling, batches);
  else tiles(p, product, label, tiling, batches);
}

function tiles(p: Planner, product: Product, label: string, tiling: Tiling, batches: number): void {
  const { batch, m, n } = product;
  const code = tiling.shared ? sharedSource(tiling, batch.length) : directSource(batch.length);
  const span = 4 * side * tiling.blocks;
  const step = tiling.shared ? depthOf(tiling.blocks) : 4;
  launch(p, product, label, `${stored(product)}${code}`, step, {}, batches * Math.ceil(m / span) * Math.ceil(n / span));
}

function vector(p: Planner, product: Product, label: string, batches: number): void {
  const { m, n, batch } = product;
  const code = `${stored(product)}${vectorSource(batch.length)}`;
  launch(p, product, `${label} of few rows`, code, 4, {}, batches * m * Math.ceil(n / 4));
}

function split(p: Planner, product: Product, label: string, tiling: Tiling, batches: number): void {
  const { m, n, k, batch } = product;
  const depth = 4 * side * side;
  const chunk = Math.ceil(k / tiling.split / depth) * depth;
  const parts = Math.ceil(k / chunk);
  const partial = p.scratch(batches * parts * m * n);
  const plain: Product = { ...product, y: partial, bias: undefined, residual: undefined, pre: undefined, activation: "none" };
  const span = 4 * side * tiling.blocks;
  const groups = batches * parts * Math.ceil(m / span) * Math.ceil(n / span);
  const code = `${stored(plain)}${sharedSource({ ...tiling, split: parts }, batch.length)}`;
  launch(p, plain, label, code, depthOf(tiling.blocks), { split: u32(parts), chunk: u32(chunk) }, groups);
  const rows = batches * m;
  p.run({
    label: `${label}: parts of the sum`,
    code: `${stored(product)}${mergeSource}`,
    params: { m: u32(m), n: u32(n), split: u32(parts), rows: u32(rows) },
    groups: Math.ceil((rows * Math.ceil(n / 4)) / 64),
    reads: { parts: partial, ...epilogueReads(product) },
    writes: epilogueWrites(product),
  });
}

const isVector = ({ n }: Product) => n % 4 === 0;
const stored = (product: Product) => storeSource(product, isVector(product));
const width = (product: Product): 1 | 4 => (isVector(product) ? 4 : 1);

function epilogueReads(product: Product): Record<string, Use> {
  const { bias, residual } = product;
  return { ...(bias && { bias: [bias, width(product)] as const }), ...(residual && { residual: [residual, width(product)] as const }) };
}

function epilogueWrites(product: Product): Record<string, Use> {
  return { y: [product.y, width(product)], ...(product.pre && { pre: [product.pre, width(product)] as const }) };
}

function launch(
  p: Planner,
  product: Product,
  label: string,
  code: string,
  step: number,
  more: Record<string, Param>,
  groups: number,
): void {
  const { batch, m, n, k, a, b } = product;
  // Rows of b and columns of a lie along the sum, which is read in steps: what is beyond it counts as zero.
  const exact = k % step === 0;
  const blocks = [
    blockSource("a", a, "p.m", "p.k", { rowsMasked: false, exact }),
    blockSource("b", b, "p.k", "p.n", { rowsMasked: true, exact }),
  ].join("\n");
  const params: Record<string, Param> = { m: u32(m), n: u32(n), k: u32(k), batches: u32(sizeOf(batch)), ...more };
  for (const [axis, extent] of batch.entries()) params[`batch${axis}`] = u32(extent);
  for (const [name, { from, batch: steps, row, column }] of [
    ["a", a],
    ["b", b],
  ] as const) {
    params[`${name}_offset`] = u32(from.offset);
    params[`${name}_row`] = u32(row);
    params[`${name}_column`] = u32(column);
    for (const [axis, step] of steps.entries()) params[`${name}_batch${axis}`] = u32(step);
  }
  const use = ({ from, direction }: Operand): Use => [from, direction === "none" ? 1 : 4];
  p.run({
    label,
    code: `${blocks}\n${code}`,
    params,
    groups,
    reads: { a: use(a), b: use(b), ...epilogueReads(product) },
    writes: epilogueWrites(product),
  });
}
