import { expectChoice, expectCounts, expectPositive, Module } from "@x/nn";
import { embedding } from "@x/ops";
import { Cell, currentPrecision, ShapeError, type Tensor } from "@x/tensor";
import { checkLength } from "./length.ts";

export interface SinusoidalOptions {
  /** Positions the table holds. */
  readonly maxLength: number;
  readonly dim: number;
  readonly base?: number;
  /** Sines and cosines by turns, as the paper has them, or in two halves, as Transformer-XL and fairseq do. */
  readonly layout?: "interleaved" | "halves";
  /** What the frequency's exponent is divided by: dim / 2 (the paper), or dim / 2 - 1 (fairseq, diffusion models). */
  readonly spacing?: "paper" | "fairseq";
}

/** sin and cos of position / base^(2i / dim): i32 [...] -> [..., dim]. Nothing is trained. Vaswani et al. 2017, arXiv 1706.03762, section 3.5. */
export class SinusoidalPositions extends Module {
  readonly maxLength: number;
  /** [maxLength, dim], computed in f64. */
  readonly table: Cell;

  constructor({ maxLength, dim, base = 10_000, layout = "interleaved", spacing = "paper" }: SinusoidalOptions) {
    super();
    const who = "SinusoidalPositions";
    expectCounts(who, { maxLength, dim });
    expectPositive(who, { base });
    expectChoice(who, "layout", layout, ["interleaved", "halves"]);
    expectChoice(who, "spacing", spacing, ["paper", "fairseq"]);
    if (dim % 2 !== 0) throw new ShapeError(`${who}: dim must be even, got ${dim}.`);
    const half = dim / 2;
    const steps = spacing === "paper" ? half : half - 1;
    if (steps === 0) throw new ShapeError(`${who}: dim must be at least 4 for fairseq's spacing, got ${dim}.`);
    const data = new Float32Array(maxLength * dim);
    for (let position = 0; position < maxLength; position++)
      for (let i = 0; i < half; i++) {
        const angle = position * base ** (-i / steps);
        const [s, c] = layout === "interleaved" ? [2 * i, 2 * i + 1] : [i, half + i];
        data[position * dim + s] = Math.sin(angle);
        data[position * dim + c] = Math.cos(angle);
      }
    this.maxLength = maxLength;
    this.table = new Cell({ shape: [maxLength, dim], data });
  }

  /** positions i32 [...], each below maxLength; more of them in a row than that are refused. */
  forward(positions: Tensor): Tensor {
    checkLength("SinusoidalPositions", positions.shape.at(-1) ?? 1, this.maxLength);
    return embedding({ table: this.table, indices: positions }).cast(currentPrecision());
  }
}
