import { expectChoice, expectCounts, Module } from "@x/nn";
import { rope } from "@x/ops";
import { arange, Cell, ShapeError, show, type Tensor, TensorError } from "@x/tensor";
import { ropeFrequencies } from "./rope-frequencies.ts";
import { type RotaryTables, tablesOf } from "./rotary-tables.ts";

/** Which axis each pair turns by, and how fast. */
export interface PairAxes {
  /** The axis of each pair, from 0. */
  readonly axes: readonly number[];
  /** Radians a position, of each pair. */
  readonly frequencies: Float64Array;
}

export interface MultiAxisOptions {
  readonly headDim: number;
  /** Positions the tables hold, on the longest axis. */
  readonly maxLength: number;
  readonly pairsBy: PairAxes;
  /** Which elements form a pair: (i, i + half) or (2i, 2i + 1). */
  readonly pairs?: "halves" | "interleaved";
}

/**
 * The frequencies of one rotary table, dealt out to axes: M-RoPE, where sections [16, 24, 24] give the first 16 pairs to time, then height, then width. `interleaved` deals them by
 * turns instead, as Qwen3-VL: pairs 1, 4, 7, ... below 3 sections[1] go to axis 1, 2, 5, 8, ... below 3 sections[2] to axis 2, all others to axis 0. Wang et al. 2024, arXiv 2409.12191.
 */
export function sectionedAxes(
  sections: readonly number[],
  { base = 10_000, interleaved = false }: { readonly base?: number; readonly interleaved?: boolean } = {},
): PairAxes {
  expectCounts("sectionedAxes", Object.fromEntries(sections.map((pairs, axis) => [`sections[${axis}]`, pairs])));
  const pairs = sections.reduce((sum, section) => sum + section, 0);
  const { frequencies } = ropeFrequencies(2 * pairs, base, { type: "default" }, 0);
  const turn = (pair: number) => {
    const axis = pair % sections.length;
    return pair < sections.length * sections[axis]! ? axis : 0;
  };
  const axes = interleaved
    ? Array.from({ length: pairs }, (_, pair) => turn(pair))
    : sections.flatMap((n, axis) => Array<number>(n).fill(axis));
  return { axes, frequencies };
}

/**
 * A rotary table of its own for each axis, side by side: the rotation of image patches by row and column. `dims` are the rotated dimensions of each axis, all even; `bases` one
 * for each axis, or one for all. Heo et al. 2024, arXiv 2403.13298; Qwen2-VL's vision tower.
 */
export function axialAxes(dims: readonly number[], bases: number | readonly number[] = 10_000): PairAxes {
  const tables = dims.map((dim, axis) => {
    const base = typeof bases === "number" ? bases : bases[axis];
    if (base === undefined) throw new ShapeError(`axialAxes: ${dims.length} axes need as many bases, got ${show(bases as number[])}.`);
    return ropeFrequencies(dim, base, { type: "default" }, 0).frequencies;
  });
  return {
    axes: tables.flatMap(({ length }, axis) => Array<number>(length).fill(axis)),
    frequencies: Float64Array.from(tables.flatMap((each) => [...each])),
  };
}

/** Rotary positions on several axes at once, such as time, height and width: each pair turns by the position on its axis. Nothing is trained. */
export class MultiAxisRotary extends Module {
  readonly headDim: number;
  readonly maxLength: number;
  readonly pairs: "halves" | "interleaved";
  readonly axes: readonly number[];
  readonly #tables: RotaryTables;
  readonly #axes: Cell;

  constructor({ headDim, maxLength, pairsBy: { axes, frequencies }, pairs = "halves" }: MultiAxisOptions) {
    super();
    const who = "MultiAxisRotary";
    expectCounts(who, { headDim, maxLength });
    expectChoice(who, "pairs", pairs, ["halves", "interleaved"]);
    if (axes.length !== frequencies.length || axes.length === 0)
      throw new ShapeError(
        `${who}: pairsBy must tell axis and frequency of each pair, got ${axes.length} axes and ${frequencies.length} frequencies.`,
      );
    if (2 * axes.length > headDim) throw new ShapeError(`${who}: ${axes.length} pairs do not fit headDim ${headDim}.`);
    if (axes.some((axis) => !Number.isSafeInteger(axis) || axis < 0))
      throw new TensorError(`${who}: axes are numbered from 0, got ${show(axes)}.`);
    this.headDim = headDim;
    this.maxLength = maxLength;
    this.pairs = pairs;
    this.axes = axes;
    this.#tables = tablesOf({ frequencies, attentionFactor: 1 }, maxLength);
    this.#axes = new Cell({ shape: [axes.length], dtype: "i32", data: axes, device: this.#tables.cos.device });
  }

  /** x [batch, heads, length, headDim] turned; positions i32 [axes, length] or [axes, batch, length], each below maxLength. */
  forward(x: Tensor, positions: Tensor): Tensor {
    const [batch, , length, dim] = x.shape;
    if (x.shape.length !== 4 || dim !== this.headDim)
      throw new ShapeError(`MultiAxisRotary: x must be [batch, heads, length, ${this.headDim}], got ${show(x.shape)}.`);
    const count = Math.max(...this.axes) + 1;
    const shared = positions.shape.length === 2;
    const expected = shared ? [count, length!] : [count, batch!, length!];
    if (show(positions.shape) !== show(expected))
      throw new ShapeError(
        `MultiAxisRotary: positions must be [${count}, ${length}] or [${count}, ${batch}, ${length}] to match x ${show(x.shape)}, got ${show(positions.shape)}.`,
      );
    const rows = shared ? length! : batch! * length!;
    const flat = positions.reshape([count, rows]);
    const own = (table: Cell) => this.#rowsBy(table.value, flat);
    const places = arange(rows, { device: x.device });
    return rope(
      { x, cos: own(this.#tables.cos), sin: own(this.#tables.sin), positions: shared ? places : places.reshape([batch!, length!]) },
      { interleaved: this.pairs === "interleaved" },
    );
  }

  /** The row of each token [rows, pairs], each pair from where its axis stands. */
  #rowsBy(table: Tensor, positions: Tensor): Tensor {
    const axes = this.#axes.value;
    const at = (axis: number) => table.take(positions.slice(0, axis, axis + 1).squeeze(0), 0);
    let rows = at(0);
    for (let axis = 1; axis < positions.shape[0]!; axis++) rows = axes.eq(axis).where(at(axis), rows);
    return rows;
  }
}
