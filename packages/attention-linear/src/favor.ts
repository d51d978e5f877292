import { expectChoice } from "@x/nn";
import { noGrad, Tensor, TensorError } from "@x/tensor";
import { type FeatureContext, FeatureMap, type Features } from "./features.ts";
import { type ProjectionOptions, RandomProjection } from "./projection.ts";

/** "positive": exp(w x); "hyperbolic": exp(w x) and exp(-w x), of less variance; "trigonometric": cos(w x) and sin(w x), which may come out negative, for study. */
export type FavorKind = "positive" | "hyperbolic" | "trigonometric";

export interface FavorOptions extends ProjectionOptions {
  readonly kind?: FavorKind;
  /** Added to exponentials, relative to the largest. 0 is unbiased; more keeps a denominator from vanishing. */
  readonly eps?: number;
}

/** Random features w x of scaled heads, under a kernel that has the norm of x with a factor in its exponent. */
abstract class RandomFeatures extends FeatureMap {
  readonly headDim: number;
  readonly featureDim: number;
  readonly kind: FavorKind;
  readonly eps: number;
  readonly normalizable = true;
  readonly projection: RandomProjection;
  /** On heads, before anything else. */
  protected abstract readonly scale: number;
  /** Times |x|^2, what exponentials of w x have too much. */
  protected abstract readonly normFactor: number;

  constructor({ kind = "positive", eps = 1e-6, ...options }: FavorOptions) {
    super();
    const who = new.target.name;
    expectChoice(who, "kind", kind, ["positive", "hyperbolic", "trigonometric"]);
    if (!(eps >= 0 && Number.isFinite(eps))) throw new TensorError(`${who}: eps must be a finite number, 0 or more, got ${eps}.`);
    this.projection = new RandomProjection(options);
    this.headDim = this.projection.headDim;
    this.featureDim = this.projection.numFeatures * (kind === "positive" ? 1 : 2);
    this.kind = kind;
    this.eps = kind === "trigonometric" ? 0 : eps;
  }

  get scaled(): boolean {
    return this.kind !== "trigonometric" || this.normFactor !== 1;
  }

  get floored(): boolean {
    return this.eps > 0;
  }

  forward(x: Tensor, _context?: FeatureContext): Features {
    const scaled = this.wide(x).mul(this.scale);
    const projected = this.projection.forward(scaled);
    const square = scaled.square().sum(-1, { keepDims: true });
    return this.kind === "trigonometric" ? this.#waves(projected, square) : this.#exponentials(projected, square);
  }

  #exponentials(projected: Tensor, square: Tensor): Features {
    const both = this.kind === "hyperbolic" ? projected.concatWith(projected.neg(), -1) : projected;
    const norm = square.mul(this.normFactor);
    // As published, eps is relative to the largest exp(w x); without it the scale is free, and with the norm in it nothing underflows.
    const logScale = noGrad(() => {
      const largest = both.max(-1, { keepDims: true });
      return this.eps > 0 ? largest : largest.sub(norm);
    });
    const factor = this.featureDim ** -0.5;
    return { values: both.sub(norm).sub(logScale).exp().mul(factor), logScale, floor: this.eps * factor };
  }

  /** cos and sin have the norm of x to make up for: E cos(w (q - k)) = exp(-|q - k|^2 / 2). */
  #waves(projected: Tensor, square: Tensor): Features {
    const values = Tensor.concat([projected.cos(), projected.sin()], -1).mul(this.projection.numFeatures ** -0.5);
    return { values, logScale: this.scaled ? square.mul(1 - this.normFactor) : undefined, floor: 0 };
  }
}

/**
 * FAVOR+'s random features of the softmax kernel: with x' = x / headDim^(1/4) and rows w of a random projection, exp(w x' - |x'|^2 / 2) / sqrt(numFeatures), whose products are unbiased estimates of
 * exp(q . k / sqrt(headDim)); their variance grows with |q + k|. Choromanski et al. 2020, arXiv 2009.14794, lemmas 1 and 2.
 */
export class FavorFeatures extends RandomFeatures {
  protected readonly scale: number = this.headDim ** -0.25;
  protected readonly normFactor = 0.5;
}

export interface GaussianOptions extends FavorOptions {
  /** The kernel's deviation. */
  readonly deviation?: number;
}

/** Random features of exp(-|q - k|^2 / (2 deviation^2)): those of the softmax kernel times exp(-|x|^2 / (2 deviation^2)); the "trigonometric" ones are random Fourier features (Rahimi and Recht 2007). */
export class GaussianFeatures extends RandomFeatures {
  protected readonly scale: number;
  protected readonly normFactor = 1;

  constructor({ deviation = 1, ...options }: GaussianOptions) {
    super(options);
    if (!(deviation > 0 && Number.isFinite(deviation)))
      throw new TensorError(`GaussianFeatures: deviation must be a finite number above 0, got ${deviation}.`);
    this.scale = 1 / deviation;
  }
}
