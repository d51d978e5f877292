export { LayerNorm } from "./layer-norm.ts";
export { type Branch, type Norm, PostNorm, PreNorm, type ResidualOptions } from "./residual.ts";
export { RMSNorm } from "./rms-norm.ts";
