import type { activations } from "@x/ops";
import { sizeOf } from "@x/tensor";
import type { Side } from "../../wgsl/gemm/form.ts";
import type { Place, Planner, Strided } from "../planner.ts";

/** The matrices of an operand: its place, the first element, strides of the leading axes (0 where it repeats), of rows and of columns, in elements. */
export interface Operand {
  readonly place: Place;
  readonly offset: number;
  readonly batch: readonly number[];
  readonly row: number;
  readonly column: number;
}

/** A batch of products y[..., m, n] = activation(a b + bias) + residual; `pre` takes what enters the activation, `sums` the sums of the rows of a (without a batch). */
export interface Product {
  readonly batch: readonly number[];
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: Operand;
  readonly b: Operand;
  /** Contiguous: an output of the plan by its name, or scratch. */
  readonly y: string | Place;
  readonly bias?: Place | undefined;
  readonly residual?: Place | undefined;
  readonly pre?: string | undefined;
  readonly sums?: string | undefined;
  readonly activation?: keyof typeof activations;
}

/** An axis of the batch, with the steps of both operands. */
export interface Axis {
  extent: number;
  a: number;
  b: number;
}

/** A product with the axes of its batch merged, and how the bias goes with columns: one for all where the product was turned. */
export interface Placed extends Omit<Product, "batch"> {
  readonly axes: readonly Axis[];
  readonly biasStep: 0 | 1;
}

/** Merges axes of the batch; those that only add rows become rows; a single column is turned into a single row. */
export function placed(given: Product): Placed {
  let { m, n, a, b } = given;
  const axes = mergedAxes(given);
  for (let last = axes.at(-1); !given.sums && last?.b === 0 && (m === 1 || last.a === m * a.row); last = axes.at(-1)) {
    if (m === 1) a = { ...a, row: last.a };
    m *= last.extent;
    axes.pop();
  }
  const turns = n === 1 && m > 1 && !given.sums;
  if (!turns) return { ...given, m, a, axes, biasStep: 1 };
  const turned = ({ row, column, ...operand }: Operand): Operand => ({ ...operand, row: column, column: row });
  [m, n, a, b] = [n, m, turned(b), turned(a)];
  return { ...given, m, n, a, b, axes: axes.map(({ extent, a, b }) => ({ extent, a: b, b: a })), biasStep: 0 };
}

function mergedAxes({ batch, a, b }: Product): Axis[] {
  const axes: Axis[] = [];
  for (const [i, extent] of batch.entries()) {
    if (extent === 1) continue;
    const axis = { extent, a: a.batch[i]!, b: b.batch[i]! };
    const outer = axes.at(-1);
    if (outer && outer.a === axis.a * extent && outer.b === axis.b * extent)
      axes[axes.length - 1] = { ...axis, extent: outer.extent * extent };
    else axes.push(axis);
  }
  return axes;
}

/** An operand as the kernels fetch it. Steps are in units of what one access fetches. */
export interface Fetched {
  readonly side: Side;
  readonly place: Place;
  readonly width: 1 | 4;
  readonly offset: number;
  readonly outer: number;
  readonly k: number;
  readonly batch: readonly number[];
}

/** Products of at least this many multiplications are worth a copy of an operand that lies in neither direction. */
const worthCopying = 2 ** 20;

export function fetched(p: Planner, product: Placed, name: "a" | "b", single: boolean): Fetched {
  const { m, n, k } = product;
  const extent = name === "a" ? m : n;
  const operand = direct(p, product, name, m * n * k >= worthCopying);
  const [outer, along] = name === "a" ? [operand.row, operand.column] : [operand.column, operand.row];
  const { batch } = operand;
  const fours = (...steps: readonly number[]) => [...steps, operand.offset, ...batch].every((step) => step % 4 === 0 && step >= 0);
  const as = (side: Side["along"], steps: Pick<Fetched, "outer" | "k">): Fetched => {
    const width = side === "any" ? 1 : 4;
    return {
      side: { name, along: side },
      place: operand.place,
      width,
      offset: operand.offset / width,
      ...steps,
      batch: batch.map((step) => step / width),
    };
  };
  if ((along === 1 || k === 1) && k % 4 === 0 && (extent === 1 || fours(outer)) && fours()) return as("k", { outer: outer / 4, k: 0 });
  if (!single && (outer === 1 || extent === 1) && (k === 1 || fours(along)) && fours()) return as("outer", { outer: 0, k: along / 4 });
  return as("any", { outer, k: along });
}

/** The operand over the merged axes; a copy of it where neither its rows nor its columns lie together and `copies` allows. */
function direct(p: Planner, { m, n, k, axes, ...operands }: Placed, name: "a" | "b", copies: boolean): Operand {
  const { place, offset, row, column } = operands[name];
  const batch = axes.map((axis) => axis[name]);
  const [rows, columns] = name === "a" ? [m, k] : [k, n];
  const own = { place, offset, batch, row, column };
  if (!copies || (row === 1 && column >= 0) || (column === 1 && row >= 0) || rows === 1 || columns === 1) return own;
  // What repeats is copied once.
  const extents = axes.map(({ extent }, i) => (batch[i] === 0 ? 1 : extent));
  const shape = [...extents, rows, columns];
  const copy: Strided = p.contiguous({ ...place, offset, strides: [...batch, row, column], shape });
  return { place: copy, offset: 0, batch: extents.map((extent, i) => (extent === 1 ? 0 : copy.strides[i]!)), row: columns, column: 1 };
}

export const batchesOf = ({ axes }: Placed): number => sizeOf(axes.map(({ extent }) => extent));
