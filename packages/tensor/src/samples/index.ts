export { movementSamples } from "./movement-samples.ts";
export { pointwiseSamples } from "./pointwise-samples.ts";
export { primitiveSamples } from "./primitive-samples.ts";
export { productSamples } from "./product-samples.ts";
export { randomSamples } from "./random-samples.ts";
export { reductionSamples } from "./reduction-samples.ts";
