import { expectCounts, expectPositive, Module } from "@x/nn";
import { rope } from "@x/ops";
import { ShapeError, show, type Tensor } from "@x/tensor";
import { checkLength } from "./length.ts";
import { ropeFrequencies } from "./rope-frequencies.ts";
import { type RotaryTables, tablesOf } from "./rotary-tables.ts";

export interface XPosOptions {
  readonly headDim: number;
  /** Positions the tables hold. */
  readonly maxLength: number;
  readonly base?: number;
  /** Positions over which a score decays by its pair's rate once. */
  readonly scaleBase?: number;
}

/**
 * Rotary positions whose scores decay with distance: the query of pair a grows by zeta_a^(p / scaleBase) and the key shrinks by as much, zeta_a = (2a + 0.4 dim) / 1.4 dim, so a score
 * depends on the distance alone. Pairs are (2i, 2i + 1). Positions are counted from the middle of maxLength, wherever the sequence ends, so cached keys stay as they are; only causal
 * attention makes sense, as keys ahead would grow. Nothing is trained. Sun et al. 2023, arXiv 2212.10554.
 */
export class XPosPositions extends Module {
  readonly headDim: number;
  readonly maxLength: number;
  readonly #queries: RotaryTables;
  readonly #keys: RotaryTables;

  constructor({ headDim, maxLength, base = 10_000, scaleBase = 512 }: XPosOptions) {
    super();
    expectCounts("XPosPositions", { headDim, maxLength });
    expectPositive("XPosPositions", { scaleBase });
    this.headDim = headDim;
    this.maxLength = maxLength;
    const columns = ropeFrequencies(headDim, base, { type: "default" }, maxLength);
    const zeta = (pair: number) => (2 * pair + 0.4 * headDim) / (1.4 * headDim);
    const scaled = (sign: number) => (position: number, pair: number) =>
      zeta(pair) ** ((sign * (position - Math.floor(maxLength / 2))) / scaleBase);
    this.#queries = tablesOf(columns, maxLength, undefined, scaled(1));
    this.#keys = tablesOf(columns, maxLength, undefined, scaled(-1));
  }

  /** Queries [batch, heads, length, headDim] turned and scaled by their positions, i32 [length] or [batch, length], each below `total`. */
  forward(x: Tensor, positions: Tensor, total?: number): Tensor {
    return this.#turn(x, positions, total, this.#queries);
  }

  /** Keys, the same way. */
  forwardKeys(x: Tensor, positions: Tensor, total?: number): Tensor {
    return this.#turn(x, positions, total, this.#keys);
  }

  #turn(x: Tensor, positions: Tensor, total = x.shape[2] ?? 0, { cos, sin }: RotaryTables): Tensor {
    if (x.shape.length !== 4 || x.shape[3] !== this.headDim)
      throw new ShapeError(`XPosPositions: x must be [batch, heads, length, ${this.headDim}], got ${show(x.shape)}.`);
    checkLength("XPosPositions", Math.max(total, x.shape[2]!), this.maxLength);
    return rope({ x, cos, sin, positions }, { interleaved: true });
  }
}
