import { expectCounts, expectPositive, Module } from "@x/nn";
import { arange, Cell, ShapeError, type Tensor, TensorError } from "@x/tensor";

export interface AlibiOptions {
  readonly numHeads: number;
  /** The exponent that slopes go down to: 2^-maxBias is the last one's. MPT calls it alibi_bias_max. */
  readonly maxBias?: number;
  /** Slopes of your own, one for each head. */
  readonly slopes?: readonly number[];
  /** On all biases. Falcon-RW adds them before it divides by sqrt(headDim): 1 / sqrt(headDim) does the same. */
  readonly factor?: number;
}

/**
 * The slope of each head, the steepest first: 2^(-maxBias h / n) for n heads, a power of two. Other counts take the slopes of the power below, and then every other one of
 * twice as many. Press et al. 2021, arXiv 2108.12409, section 3 and its code.
 */
export function alibiSlopes(numHeads: number, maxBias = 8): Float64Array {
  expectCounts("alibiSlopes", { numHeads });
  expectPositive("alibiSlopes", { maxBias });
  const whole = 2 ** Math.floor(Math.log2(numHeads));
  return Float64Array.from({ length: numHeads }, (_, head) => {
    const exponent = head < whole ? (head + 1) / whole : (2 * (head - whole) + 1) / (2 * whole);
    return 2 ** (-maxBias * exponent);
  });
}

/**
 * Attention with linear biases: -slope |j - i| on the score of query i and key j, after its scaling, so for attention both ways too. Nothing is trained, and nothing else tells positions:
 * SelfAttention's `distanceBias`. Press et al. 2021, arXiv 2108.12409.
 */
export class AlibiBias extends Module {
  readonly numHeads: number;
  readonly #slopes: Cell;

  constructor({ numHeads, maxBias = 8, slopes, factor = 1 }: AlibiOptions) {
    super();
    expectCounts("AlibiBias", { numHeads });
    const own = slopes ? Float64Array.from(slopes) : alibiSlopes(numHeads, maxBias);
    if (own.length !== numHeads) throw new ShapeError(`AlibiBias: ${numHeads} heads need as many slopes, got ${own.length}.`);
    const odd = [...own, factor].find((value) => !Number.isFinite(value));
    if (odd !== undefined) throw new TensorError(`AlibiBias: slopes and factor must be finite numbers, got ${odd}.`);
    this.numHeads = numHeads;
    this.#slopes = new Cell({ shape: [numHeads, 1], data: own.map((slope) => -slope * factor) });
  }

  /** What is added by distance, f32 [numHeads, 2 reach + 1]. */
  forward(reach: number): Tensor {
    const { value } = this.#slopes;
    return arange(2 * reach + 1, { dtype: "f32", device: value.device })
      .sub(reach)
      .abs()
      .mul(value);
  }
}
