import { expectCounts } from "@x/nn";
import { relu, softmax } from "@x/ops";
import { noGrad, type Tensor, TensorError } from "@x/tensor";
import { type FeatureContext, FeatureMap, type Features } from "./features.ts";
import { type ProjectionOptions, RandomProjection } from "./projection.ts";

interface Kernel {
  readonly apply: (x: Tensor) => Tensor;
  /** Features are never below 0. */
  readonly positive: boolean;
  /** What is added to the features if nothing is said. */
  readonly eps: number;
}

const kernels = {
  /** elu(x) + 1: Katharopoulos et al. 2020. */
  elu1: { apply: (x) => x.gt(0).where(x.maximum(0).add(1), x.minimum(0).exp()), positive: true, eps: 0 },
  /** Performer-ReLU. */
  relu: { apply: (x) => relu({ x }), positive: true, eps: 1e-3 },
  squaredRelu: { apply: (x) => relu({ x }).square(), positive: true, eps: 1e-3 },
  /** Computed relative to each position's largest, so that nothing overflows. */
  exp: { apply: (x) => x.exp(), positive: true, eps: 0 },
  cos: { apply: (x) => x.cos(), positive: false, eps: 0 },
  identity: { apply: (x) => x, positive: false, eps: 0 },
} satisfies Record<string, Kernel>;

export type KernelName = keyof typeof kernels;

export interface KernelOptions {
  readonly headDim: number;
  /** A kernel by name, or any elementwise function. */
  readonly kernel: KernelName | ((x: Tensor) => Tensor);
  /** Whether a function of your own is never below 0; other kernels go with `normalize: false`. */
  readonly positive?: boolean;
  /** Added to each feature: 1e-3 for "relu" and "squaredRelu", else 0. */
  readonly eps?: number;
  /** On heads, before anything else: headDim^(-1/4) in generalised Performer attention. */
  readonly scale?: number;
  /** A random projection before the kernel. */
  readonly projection?: Omit<ProjectionOptions, "headDim"> | undefined;
  /** Times the features, in 1 / sqrt(numFeatures): the TensorFlow reference does, the others do not. It cancels where attention is normalised. */
  readonly scaleFeatures?: boolean;
}

/** phi(x) = kernel(W scale x) + eps, elementwise, W a random projection or nothing. */
export class KernelFeatures extends FeatureMap {
  readonly headDim: number;
  readonly featureDim: number;
  readonly normalizable: boolean;
  readonly eps: number;
  readonly scale: number;
  readonly factor: number;
  readonly projection: RandomProjection | undefined;
  readonly scaled: boolean;
  readonly #apply: (x: Tensor) => Tensor;

  constructor({ headDim, kernel, positive = false, scale = 1, projection, scaleFeatures = false, ...options }: KernelOptions) {
    super();
    expectCounts("KernelFeatures", { headDim });
    const known: Kernel | undefined = typeof kernel === "function" ? { apply: kernel, positive, eps: 0 } : kernels[kernel];
    if (!known)
      throw new TensorError(
        `KernelFeatures: kernel must be one of ${Object.keys(kernels).join(", ")}, or a function, got "${String(kernel)}".`,
      );
    const { eps = known.eps } = options;
    if (!(eps >= 0 && Number.isFinite(eps))) throw new TensorError(`KernelFeatures: eps must be a finite number, 0 or more, got ${eps}.`);
    if (!Number.isFinite(scale)) throw new TensorError(`KernelFeatures: scale must be a finite number, got ${scale}.`);
    this.headDim = headDim;
    this.projection = projection && new RandomProjection({ ...projection, headDim });
    this.featureDim = this.projection?.numFeatures ?? headDim;
    this.normalizable = known.positive;
    this.eps = eps;
    this.scale = scale;
    this.factor = scaleFeatures ? this.featureDim ** -0.5 : 1;
    this.scaled = kernel === "exp";
    this.#apply = known.apply;
  }

  get floored(): boolean {
    return this.eps > 0;
  }

  forward(x: Tensor, _context?: FeatureContext): Features {
    const scaled = this.wide(x).mul(this.scale);
    const projected = this.projection?.forward(scaled) ?? scaled;
    const floor = this.eps * this.factor;
    if (!this.scaled) return { values: this.#apply(projected).mul(this.factor), floor };
    const logScale = noGrad(() => projected.max(-1, { keepDims: true }));
    return { values: projected.sub(logScale).exp().mul(this.factor), logScale, floor };
  }
}

/**
 * Efficient attention: softmax over the features of a query, and over the positions of the keys; in causal attention exp(k), which the division makes one. Its keys are kinds of places to attend to, each with
 * weights of sum 1. Shen et al. 2018, arXiv 1812.01243.
 */
export class SoftmaxPairFeatures extends FeatureMap {
  readonly headDim: number;
  readonly featureDim: number;
  readonly scaled = true;
  readonly floored = false;
  readonly normalizable = true;

  constructor({ headDim }: { readonly headDim: number }) {
    super();
    expectCounts("SoftmaxPairFeatures", { headDim });
    this.headDim = headDim;
    this.featureDim = headDim;
  }

  forward(x: Tensor, { side, causal, keyMask }: FeatureContext): Features {
    const wide = this.wide(x);
    if (side === "query") return { values: softmax({ x: wide }), floor: 0 };
    if (causal) {
      const logScale = noGrad(() => wide.max(-1, { keepDims: true }));
      return { values: wide.sub(logScale).exp(), logScale, floor: 0 };
    }
    const seen = keyMask?.reshape([keyMask.shape[0]!, 1, keyMask.shape[1]!, 1]).expand(wide.shape);
    return { values: softmax({ x: seen ? seen.where(wide, -1e30) : wide }, { axis: 2 }), floor: 0 };
  }
}
