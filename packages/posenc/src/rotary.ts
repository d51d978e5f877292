import { Module } from "@x/nn";
import { rope } from "@x/ops";
import { Cell, ShapeError, type Tensor } from "@x/tensor";
import { ropeFrequencies, type RopeScaling } from "./rope-frequencies.ts";

export interface RotaryOptions {
  readonly headDim: number;
  /** Positions the tables hold. */
  readonly maxLength: number;
  readonly base?: number;
  /** How many of the first dimensions turn: the rest pass. */
  readonly rotaryDim?: number;
  /** Which elements form a pair: (i, i + half), as Hugging Face's Llama and NeoX, or (2i, 2i + 1), as Meta's and GPT-J. */
  readonly pairs?: "halves" | "interleaved";
  readonly scaling?: RopeScaling;
}

/** Rotary positions for queries and keys [batch, heads, length, headDim], from tables made in f64. Su et al. 2021, arXiv 2104.09864. */
export class RotaryPositions extends Module {
  readonly maxLength: number;
  readonly rotaryDim: number;
  readonly pairs: "halves" | "interleaved";
  readonly base: number;
  readonly scaling: RopeScaling;
  /** By the length they were made for: more than one only under dynamic scaling. */
  readonly #tables = new Map<number, { cos: Cell; sin: Cell }>();

  constructor({ headDim, maxLength, base = 10_000, rotaryDim = headDim, pairs = "halves", scaling = { type: "default" } }: RotaryOptions) {
    super();
    if (rotaryDim > headDim) throw new ShapeError(`RotaryPositions: rotaryDim ${rotaryDim} exceeds headDim ${headDim}.`);
    this.maxLength = maxLength;
    this.rotaryDim = rotaryDim;
    this.pairs = pairs;
    this.base = base;
    this.scaling = scaling;
    this.prepare(0);
  }

  /** Tables for sequences of `length`; cells, so they must be there before a step is compiled. Only dynamic scaling needs the call. */
  prepare(length: number): { readonly cos: Cell; readonly sin: Cell } {
    const key = this.scaling.type === "dynamic" ? Math.max(length, this.scaling.originalMaxLength) : 0;
    const known = this.#tables.get(key);
    if (known) return known;
    const { frequencies, attentionFactor } = ropeFrequencies(this.rotaryDim, this.base, this.scaling, key);
    const rows = Math.max(this.maxLength, key);
    const table = (f: (angle: number) => number) => {
      const data = new Float32Array(rows * frequencies.length);
      for (let p = 0; p < rows; p++) for (const [i, frequency] of frequencies.entries()) data[p * frequencies.length + i] = f(p * frequency) * attentionFactor;
      return new Cell({ shape: [rows, frequencies.length], data });
    };
    const made = { cos: table(Math.cos), sin: table(Math.sin) };
    this.#tables.set(key, made);
    return made;
  }

  /** x [batch, heads, length, headDim] turned by the angles of its positions, i32 [length] or [batch, length]; `total` is the length that dynamic scaling goes by. */
  forward(x: Tensor, positions: Tensor, total = x.shape[2] ?? 0): Tensor {
    const { cos, sin } = this.prepare(total);
    return rope({ x, cos, sin, positions }, { interleaved: this.pairs === "interleaved" });
  }
}
