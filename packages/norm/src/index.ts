export { type DeepNormConstants, deepNormConstants } from "./deep-norm.ts";
export { DropPath, dropPathRates } from "./drop-path.ts";
export { L2Norm, type L2NormOptions } from "./l2-norm.ts";
export { LayerNorm } from "./layer-norm.ts";
export { LayerScale, layerScaleInit } from "./layer-scale.ts";
export { type Branch, DeepNorm, type Norm, OutputNorm, PostNorm, PreNorm, type ResidualOptions, SandwichNorm } from "./residual.ts";
export { RMSNorm, type RMSNormOptions } from "./rms-norm.ts";
