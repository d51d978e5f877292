import { Module } from "@x/nn";
import { ShapeError, show, statisticsOf, type Tensor } from "@x/tensor";

/** What a feature map gives for queries or keys: features (values exp(logScale) + floor exp(the stabilizer)) of every position, computed in f32. */
export interface Features {
  /** [batch, heads, length, features] */
  readonly values: Tensor;
  /** [batch, heads, length, 1]: the logarithm of the factor that was taken out of each position's values so that they do not overflow; none if absent. */
  readonly logScale?: Tensor | undefined;
  /** Added to each feature after it was divided by exp(the stabilizer), the largest logScale of a query, or of the keys that it sees. */
  readonly floor: number;
}

/** Queries and keys may have different maps, and a map may look at all keys at once where attention is not causal. */
export interface FeatureContext {
  readonly side: "query" | "key";
  readonly causal: boolean;
  /** bool [batch, keys]: true where a key counts. */
  readonly keyMask?: Tensor | undefined;
}

/** Maps heads [batch, heads, length, headDim] to features whose products of a query's and a key's are the kernel that takes the place of exp(scores). */
export abstract class FeatureMap extends Module {
  abstract readonly headDim: number;
  /** Length of a feature vector. */
  abstract readonly featureDim: number;
  /** Whether keys carry a logScale in causal attention. */
  abstract readonly scaled: boolean;
  /** Whether keys have a floor. */
  abstract readonly floored: boolean;
  /** The kernel is positive, or meant to be: what is divided by has a sense. Others need `normalize: false`. */
  abstract readonly normalizable: boolean;
  abstract override forward(x: Tensor, context: FeatureContext): Features;

  /** The input in f32 (f64 stays), refused if it does not have this map's headDim. */
  protected wide(x: Tensor): Tensor {
    if (x.shape.length !== 4 || x.shape[3] !== this.headDim)
      throw new ShapeError(
        `${this.constructor.name}: x must be [batch, heads, length, ${this.headDim}], got ${show(x.shape)}. Make the features with the layer's headDim.`,
      );
    return x.cast(statisticsOf(x.dtype));
  }
}
