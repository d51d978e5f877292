import { expectCounts } from "@x/nn";
import { Cell, currentGenerator, fft, State, Tensor, TensorError } from "@x/tensor";
import { type FeatureContext, FeatureMap, type Features } from "./features.ts";

export interface PolynomialOptions {
  readonly headDim: number;
  readonly degree: number;
  /** c in (q . k + c)^degree, 0 or more. */
  readonly offset?: number;
}

/** More features than this are refused. */
const mostFeatures = 65_536;

/** Polynomial kernels of an input with one entry more, sqrt(offset), whose products are q . k + offset. */
abstract class Polynomial extends FeatureMap {
  readonly headDim: number;
  readonly degree: number;
  readonly offset: number;
  readonly scaled = false;
  readonly floored = false;

  constructor({ headDim, degree, offset = 1 }: PolynomialOptions) {
    super();
    const who = new.target.name;
    expectCounts(who, { headDim, degree });
    if (!(offset >= 0 && Number.isFinite(offset)))
      throw new TensorError(`${who}: offset must be a finite number, 0 or more, got ${offset}.`);
    this.headDim = headDim;
    this.degree = degree;
    this.offset = offset;
  }

  /** [..., headDim + 1] */
  protected extended(x: Tensor): Tensor {
    const wide = this.wide(x);
    const one = wide.slice(3, 0, 1).onesLike().mul(Math.sqrt(this.offset));
    return Tensor.concat([one, wide], -1);
  }
}

/**
 * Exact features of (q . k + offset)^degree: every product of `degree` entries of (sqrt(offset), x) once, times the root of the number of its orders; C(headDim + degree, degree) of them. Odd degrees may be below 0 and
 * need `normalize: false`.
 */
export class PolynomialFeatures extends Polynomial {
  readonly featureDim: number;
  readonly normalizable: boolean;
  /** For each factor, which entry each feature takes. */
  readonly factors: readonly Cell[];
  readonly weights: Cell;

  constructor(options: PolynomialOptions) {
    super(options);
    const { headDim, degree } = this;
    let count = 1;
    for (let i = 1; i <= degree; i++) count = (count * (headDim + i)) / i;
    if (count > mostFeatures)
      throw new TensorError(
        `PolynomialFeatures: headDim ${headDim} and degree ${degree} make ${count} features, more than ${mostFeatures}. Use TensorSketchFeatures.`,
      );
    const all = [...combinations(headDim + 1, degree)];
    this.featureDim = all.length;
    this.normalizable = degree % 2 === 0;
    const { device } = currentGenerator("PolynomialFeatures").key;
    this.factors = Array.from(
      { length: degree },
      (_, t) => new Cell({ shape: [all.length], dtype: "i32", device, data: all.map((indices) => indices[t]!) }),
    );
    this.weights = new Cell({ shape: [all.length], device, data: all.map((indices) => Math.sqrt(orders(indices))) });
  }

  forward(x: Tensor, _context?: FeatureContext): Features {
    const extended = this.extended(x);
    const product = this.factors.map((indices) => extended.take(indices, 3)).reduce((a, b) => a.mul(b));
    return { values: product.mul(this.weights.value.cast(product.dtype)), floor: 0 };
  }
}

/** Every way to choose `count` of `n` with repetition, ascending. */
function* combinations(n: number, count: number, from = 0): Generator<number[]> {
  if (count === 0) yield [];
  else for (let i = from; i < n; i++) for (const rest of combinations(n, count - 1, i)) yield [i, ...rest];
}

/** In how many orders these can stand: degree! / product of the multiplicities' factorials. */
function orders(indices: readonly number[]): number {
  let [count, run] = [1, 0];
  for (const [i, index] of indices.entries()) {
    run = index === indices[i - 1] ? run + 1 : 1;
    count *= (i + 1) / run;
  }
  return Math.round(count);
}

/**
 * TensorSketch: `numFeatures` random features of (q . k + offset)^degree, by circular convolution of `degree` count sketches through the Fourier transform. Unbiased, and of any sign: needs `normalize: false`. Pham and
 * Pagh 2013, doi 10.1145/2487575.2487591.
 */
export class TensorSketchFeatures extends Polynomial {
  readonly featureDim: number;
  readonly normalizable = false;
  /** [degree, headDim + 1, numFeatures]: in each row a sign at a random place. */
  readonly sketches: State;

  constructor({ numFeatures, ...options }: PolynomialOptions & { readonly numFeatures: number }) {
    super(options);
    expectCounts("TensorSketchFeatures", { numFeatures });
    this.featureDim = numFeatures;
    const rows = this.degree * (this.headDim + 1);
    const generator = currentGenerator("TensorSketchFeatures");
    const [places, signs] = [generator.hostUniform(rows), generator.hostUniform(rows)];
    const data = new Float64Array(rows * numFeatures);
    for (let row = 0; row < rows; row++) data[row * numFeatures + Math.floor(places[row]! * numFeatures)] = signs[row]! < 0.5 ? -1 : 1;
    this.sketches = new State({ shape: [this.degree, this.headDim + 1, numFeatures], device: generator.key.device, data });
  }

  forward(x: Tensor, _context?: FeatureContext): Features {
    const extended = this.extended(x);
    const sketches = this.sketches.value.cast(extended.dtype).split(0, this.degree);
    const spectra = sketches.map((sketch) => {
      const re = extended.matmul(sketch.squeeze(0));
      return fft({ re, im: re.zerosLike() });
    });
    const product = spectra.reduce((a, b) => ({ re: a.re.mul(b.re).sub(a.im.mul(b.im)), im: a.re.mul(b.im).add(a.im.mul(b.re)) }));
    return { values: fft(product, { inverse: true }).re.div(this.featureDim), floor: 0 };
  }
}
