import { expectChoice, expectCounts, Module } from "@x/nn";
import { rope } from "@x/ops";
import { ShapeError, show, type Tensor, TraceError } from "@x/tensor";
import { checkLength } from "./length.ts";
import { type RopeFrequencies, type RopeScaling, ropeFrequencies } from "./rope-frequencies.ts";
import { type RotaryTables, rowsOf, tablesOf } from "./rotary-tables.ts";

export interface RotaryOptions {
  readonly headDim: number;
  /** Positions the tables hold. Under dynamic scaling they grow beyond. */
  readonly maxLength: number;
  readonly base?: number;
  /** How many of the first dimensions turn: the rest pass. */
  readonly rotaryDim?: number;
  /** Which elements form a pair: (i, i + half), as Hugging Face's Llama and NeoX, or (2i, 2i + 1), as Meta's and GPT-J. */
  readonly pairs?: "halves" | "interleaved";
  readonly scaling?: RopeScaling;
}

/** Rotary positions for queries and keys [batch, heads, length, headDim], from tables made in f64. Nothing is trained. Su et al. 2021, arXiv 2104.09864. */
export class RotaryPositions extends Module {
  readonly headDim: number;
  readonly maxLength: number;
  readonly rotaryDim: number;
  readonly pairs: "halves" | "interleaved";
  readonly base: number;
  readonly scaling: RopeScaling;
  #tables: RotaryTables;
  /** The length that the tables' frequencies were made for; 0 for those that serve every length. */
  #madeFor: number;

  constructor({ headDim, maxLength, base = 10_000, rotaryDim = headDim, pairs = "halves", scaling = { type: "default" } }: RotaryOptions) {
    super();
    const who = "RotaryPositions";
    expectCounts(who, { headDim, maxLength, rotaryDim });
    expectChoice(who, "pairs", pairs, ["halves", "interleaved"]);
    if (rotaryDim > headDim) throw new ShapeError(`${who}: rotaryDim ${rotaryDim} exceeds headDim ${headDim}.`);
    this.headDim = headDim;
    this.maxLength = maxLength;
    this.rotaryDim = rotaryDim;
    this.pairs = pairs;
    this.base = base;
    this.scaling = scaling;
    this.#madeFor = this.#keyOf(0);
    this.#tables = tablesOf(this.#columns(this.#madeFor), Math.max(maxLength, this.#madeFor));
  }

  /**
   * The tables for sequences of `length`, cached positions included. Only dynamic scaling and LongRoPE need the call, outside and before each step that is compiled: beyond
   * the original length the cells are rewritten, for each new length or once, as the reference implementations do; keys that are cached keep their angles, and a gradient spans one length.
   */
  prepare(length: number): RotaryTables {
    const key = this.#keyOf(length);
    if (key !== this.#madeFor) {
      try {
        this.#remake(key);
      } catch (error) {
        if (!(error instanceof TraceError)) throw error;
        throw new TraceError(
          `RotaryPositions: a length of ${length} needs other tables. Call prepare(${length}) before the compiled step.`,
        );
      }
      this.#madeFor = key;
    }
    return this.#tables;
  }

  #remake(key: number): void {
    const { cos, sin } = this.#tables;
    const rows = cos.shape[0]!;
    if (key > rows) {
      this.#tables = tablesOf(this.#columns(key), Math.max(key, 2 * rows), cos.device);
      for (const cell of [cos, sin]) cell.dispose();
    } else {
      const { cosines, sines } = rowsOf(this.#columns(key), rows);
      cos.write(cosines);
      sin.write(sines);
    }
  }

  /**
   * x [batch, heads, length, headDim] turned by the angles of its positions, i32 [length] or [batch, length], each below `total`: the sequence's length with what
   * is cached, which dynamic scaling goes by and other tables must hold.
   */
  forward(x: Tensor, positions: Tensor, total = x.shape[2] ?? 0): Tensor {
    if (x.shape.length !== 4 || x.shape[3] !== this.headDim)
      throw new ShapeError(`RotaryPositions: x must be [batch, heads, length, ${this.headDim}], got ${show(x.shape)}.`);
    if (this.scaling.type !== "dynamic") checkLength("RotaryPositions", Math.max(total, x.shape[2]!), this.maxLength);
    const { cos, sin } = this.prepare(total);
    return rope({ x, cos, sin, positions }, { interleaved: this.pairs === "interleaved" });
  }

  #keyOf(length: number): number {
    const { scaling } = this;
    if (scaling.type === "longrope") return length > scaling.originalMaxLength ? this.maxLength : 0;
    return scaling.type === "dynamic" ? Math.max(length, scaling.originalMaxLength) : 0;
  }

  #columns(key: number): RopeFrequencies {
    return ropeFrequencies(this.rotaryDim, this.base, this.scaling, key);
  }
}
