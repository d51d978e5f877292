export { FavorFeatures, type FavorKind, type FavorOptions, GaussianFeatures, type GaussianOptions } from "./favor.ts";
export { type FeatureContext, FeatureMap, type Features } from "./features.ts";
export { KernelFeatures, type KernelName, type KernelOptions, SoftmaxPairFeatures } from "./kernels.ts";
export { type KernelAttention, type LinearInputs, linearAttention } from "./linear.ts";
export {
  type HeadNorm,
  type LinearAttendOptions,
  LinearAttention,
  type LinearAttentionOptions,
  type Rotation,
} from "./linear-attention.ts";
export { type LinearLayerCache, LinearState, type LinearStateOptions, type LinearStateShape } from "./linear-state.ts";
export { type DrawOptions, drawProjection } from "./orthogonal.ts";
export { PerformerAttention, type PerformerOptions, performerPresets } from "./performer.ts";
export { PolynomialFeatures, type PolynomialOptions, TensorSketchFeatures } from "./polynomial.ts";
export { type ProjectionOptions, RandomProjection } from "./projection.ts";
export { redrawProjections } from "./redraw.ts";
export type { MaskMode } from "./sums.ts";
