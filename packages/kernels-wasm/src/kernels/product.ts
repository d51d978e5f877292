import { activations } from "../abi.ts";
import type { Place } from "../device/launch.ts";
import type { Planner } from "./planner.ts";
import { ceilDiv, product } from "./work.ts";

/** The matrices of an operand: its place, strides of the leading axes (0 where it repeats), of rows and of columns, in elements. */
export interface Operand {
  readonly place: Place;
  readonly batch: readonly number[];
  readonly row: number;
  readonly column: number;
}

/** A batch of products c[..., m, n] = activation(a b + bias) + residual; `pre` takes what enters the activation. c is contiguous. */
export interface Product {
  readonly batch: readonly number[];
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: Operand;
  readonly b: Operand;
  readonly c: Place;
  readonly bias?: Place | undefined;
  readonly residual?: Place | undefined;
  readonly pre?: Place | undefined;
  readonly activation?: keyof typeof activations;
}

interface Axis {
  extent: number;
  a: number;
  b: number;
  c: number;
}

/** Rows of up to this many go through the kernel that reads the matrix once. */
const fewRows = 4;
/** From this many rows of tiles on, packing the right operand once pays. */
const worthPacking = 3;
/**
 * Rows up to which a packed weight is kept between calls. Measured, 768 x 768 and 768 x 3072 on one thread, weights [out, in]: packing takes 15 to 30 % of 5 rows,
 * 5 % of 32, 3 to 5 % of 256 and 1 % of 1,024, where it is no longer worth a second copy of the weight.
 */
const keptRows = 512;

/** Launches of a product. */
export function multiply(p: Planner, given: Product): void {
  const { m, n } = given;
  if (m * n * product(given.batch) === 0) return;
  const { axes, product: one } = foldRows(given, batchAxes(given));
  if (axes.length === 0 && multiplyFewRows(p, one)) return;
  // The kernel walks two axes of the batch; those beyond are launches of their own.
  overAxes(axes.slice(0, -2), { a: 0, b: 0, c: 0 }, (offset) => multiplyTiles(p, one, axes.slice(-2), offset));
}

function batchAxes({ batch, m, n, a, b }: Product): Axis[] {
  const axes: Axis[] = [];
  let c = m * n;
  for (let i = batch.length - 1; i >= 0; i--) {
    const axis = { extent: batch[i]!, a: a.batch[i]!, b: b.batch[i]!, c };
    c *= axis.extent;
    if (axis.extent === 1) continue;
    const inner = axes[0];
    if (inner && (["a", "b", "c"] as const).every((side) => axis[side] === inner[side] * inner.extent)) inner.extent *= axis.extent;
    else axes.unshift(axis);
  }
  return axes;
}

/** Leading axes that b repeats over and a continues its rows over are more rows of one product. */
function foldRows(given: Product, axes: Axis[]): { axes: Axis[]; product: Product } {
  let { m, a } = given;
  const left = [...axes];
  for (let last = left.at(-1); last?.b === 0 && (m === 1 || last.a === m * a.row); last = left.at(-1)) {
    if (m === 1) a = { ...a, row: last.a };
    m *= last.extent;
    left.pop();
  }
  return { axes: left, product: { ...given, m, a } };
}

function overAxes(
  axes: readonly Axis[],
  offset: { a: number; b: number; c: number },
  visit: (offset: { a: number; b: number; c: number }) => void,
): void {
  const [first, ...others] = axes;
  if (!first) {
    visit(offset);
    return;
  }
  for (let i = 0; i < first.extent; i++)
    overAxes(others, { a: offset.a + i * first.a, b: offset.b + i * first.b, c: offset.c + i * first.c }, visit);
}

const elementsOn = (place: Place, elements: number): Place =>
  elements === 0 ? place : { ...place, offset: (place.offset ?? 0) + 4 * elements };

/** A few rows times a matrix, or a matrix times one column, which is the same transposed. */
function multiplyFewRows(p: Planner, given: Product): boolean {
  const { m, n, k, a, b, c, bias, residual, pre } = given;
  const activation = activations[given.activation ?? "identity"];
  // Rows are read along a block of columns; columns one after another.
  const columnsOf = (side: number, extent: number) => (side === 1 ? Math.min(1024, Math.max(256, ceilDiv(extent, 16) * 8)) : 32);
  const common = { y: c, k, alpha: 1, activation };
  if (m <= fewRows && n > 1 && (a.column === 1 || k === 1) && (b.row === 1 || b.column === 1) && b.row >= 0 && b.column >= 0) {
    // In panels, where they are kept: a weight is then read in one stream, and is the one that longer inputs read.
    const keeps = p.keeps(b.place);
    const columns = columnsOf(keeps ? 0 : b.column, n);
    const args = {
      ...common,
      columns,
      packed: keeps ? 1 : 0,
      x: a.place,
      w: keeps ? packed(p, given, [], b.place, true).place : b.place,
      bias,
      residual,
      pre,
      m,
      n,
      wRow: b.row,
      wCol: b.column,
      xRow: a.row,
      yRow: n,
    };
    p.run("gemv", args, ceilDiv(n, columns), (m * columns * k) / 4);
    return true;
  }
  if (n === 1 && !bias && (b.row === 1 || k === 1) && (a.row === 1 || a.column === 1) && a.row >= 0 && a.column >= 0) {
    const columns = columnsOf(a.row, m);
    const args = {
      ...common,
      columns,
      packed: 0,
      x: b.place,
      w: a.place,
      residual,
      pre,
      m: 1,
      n: m,
      wRow: a.column,
      wCol: a.row,
      xRow: 0,
      yRow: m,
    };
    p.run("gemv", args, ceilDiv(m, columns), (columns * k) / 4);
    return true;
  }
  return false;
}

function multiplyTiles(p: Planner, given: Product, axes: readonly Axis[], offset: { a: number; b: number; c: number }): void {
  const { m, n, k, a, c, bias, residual, pre } = given;
  const [outer, inner] = [axes.at(-2), axes.at(-1)];
  const count = inner?.extent ?? 1;
  const matrices = count * (outer?.extent ?? 1);
  const { mTile, nTile } = tilesOf(m, n, matrices);
  const [left, right] = [elementsOn(a.place, offset.a), elementsOn(given.b.place, offset.b)];
  const keeps = m <= keptRows && p.keeps(right);
  const packs = keeps || ceilDiv(m, mTile) >= worthPacking;
  const b = packs
    ? packed(p, given, axes, right, keeps)
    : { place: right, row: given.b.row, column: given.b.column, outer: outer?.b ?? 0, inner: inner?.b ?? 0 };
  const at = (place: Place | undefined) => place && elementsOn(place, offset.c);
  const tiles = ceilDiv(m, mTile) * ceilDiv(n, nTile);
  p.run(
    "gemm",
    {
      ...{ c: elementsOn(c, offset.c), a: left, b: b.place, bias, residual: at(residual), pre: at(pre) },
      ...{ inner: count, m, n, k, mTile, nTile, packed: packs ? 1 : 0, alpha: 1, beta: 0 },
      ...{
        activation: activations[given.activation ?? "identity"],
        aRow: a.row,
        aCol: a.column,
        aOuter: outer?.a ?? 0,
        aInner: inner?.a ?? 0,
      },
      ...{ bRow: b.row, bCol: b.column, bOuter: b.outer, bInner: b.inner, cRow: n, cOuter: outer?.c ?? 0, cInner: inner?.c ?? 0 },
    },
    matrices * tiles,
    (mTile * nTile * k) / 4,
  );
}

/** Large tiles, which pack less; smaller ones where there would be too few of them to share out. */
function tilesOf(m: number, n: number, matrices: number): { mTile: number; nTile: number } {
  let [rows, columns] = [96, n >= 512 ? 256 : 128];
  const few = () => matrices * ceilDiv(m, rows) * ceilDiv(n, columns) < 8;
  if (few()) columns = 64;
  if (few()) rows = 48;
  return { mTile: tileOf(m, rows, 6), nTile: Math.min(columns, ceilDiv(n, 8) * 8) };
}

/** Equal tiles of at most `most`, in steps of `step`. */
const tileOf = (extent: number, most: number, step: number): number => ceilDiv(ceilDiv(extent, ceilDiv(extent, most)), step) * step;

/** b in panels, once for all rows of tiles, or for all calls; a matrix that is repeated is packed once. */
function packed(p: Planner, { n, k, b }: Product, axes: readonly Axis[], place: Place, keeps: boolean) {
  const repeats = axes.map((axis) => axis.b === 0);
  const [outer, inner] = [axes.at(-2), axes.at(-1)];
  const [outerRepeats, innerRepeats] = [repeats.at(-2) ?? true, repeats.at(-1) ?? true];
  const size = ceilDiv(n, 8) * 8 * k;
  const [outerCount, innerCount] = [outerRepeats ? 1 : outer!.extent, innerRepeats ? 1 : inner!.extent];
  const bytes = 4 * size * outerCount * innerCount;
  const args = { b: place, inner: innerCount, n, k, bRow: b.row, bCol: b.column, bOuter: outer?.b ?? 0, bInner: inner?.b ?? 0 };
  const units = ceilDiv(n, 8) * outerCount * innerCount;
  const packInto = (panels: Place): Place => {
    p.run("pack_b", { packed: panels, ...args }, units, 2 * k);
    return panels;
  };
  const panels = keeps ? p.companion(place, bytes, "pack_b", (to) => ({ packed: to, ...args }), units) : packInto(p.scratch(bytes));
  return { place: panels, row: 0, column: 0, outer: outerRepeats ? 0 : size * innerCount, inner: innerRepeats ? 0 : size };
}
