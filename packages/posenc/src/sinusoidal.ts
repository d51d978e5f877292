import { Module } from "@x/nn";
import { embedding } from "@x/ops";
import { Cell, ShapeError, type Tensor } from "@x/tensor";

export interface SinusoidalOptions {
  readonly maxLength: number;
  readonly dim: number;
  readonly base?: number;
  /** Sines and cosines by turns, as the paper has them, or in two halves, as Transformer-XL and fairseq do. */
  readonly layout?: "interleaved" | "halves";
  /** What the frequency's exponent is divided by: dim / 2 (the paper), or dim / 2 - 1 (fairseq, diffusion models). */
  readonly spacing?: "paper" | "fairseq";
}

/** sin and cos of position / base^(2i / dim): i32 [...] -> [..., dim]. Nothing is trained. Vaswani et al. 2017, section 3.5. */
export class SinusoidalPositions extends Module {
  readonly maxLength: number;
  readonly table: Cell;

  constructor({ maxLength, dim, base = 10_000, layout = "interleaved", spacing = "paper" }: SinusoidalOptions) {
    super();
    if (dim % 2 !== 0) throw new ShapeError(`SinusoidalPositions: dim must be even, got ${dim}.`);
    this.maxLength = maxLength;
    const half = dim / 2;
    const data = new Float32Array(maxLength * dim);
    for (let position = 0; position < maxLength; position++)
      for (let i = 0; i < half; i++) {
        const angle = position * base ** (-i / (spacing === "paper" ? half : half - 1));
        const [s, c] = layout === "interleaved" ? [2 * i, 2 * i + 1] : [i, half + i];
        data[position * dim + s] = Math.sin(angle);
        data[position * dim + c] = Math.cos(angle);
      }
    this.table = new Cell({ shape: [maxLength, dim], data });
  }

  forward(positions: Tensor): Tensor {
    const length = positions.shape.at(-1) ?? 0;
    if (length > this.maxLength) throw new ShapeError(`SinusoidalPositions: ${length} positions, but the table has ${this.maxLength}.`);
    return embedding({ table: this.table, indices: positions });
  }
}
