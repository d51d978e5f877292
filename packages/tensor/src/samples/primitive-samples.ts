import type { Sample } from "../sample.ts";
import { movementSamples } from "./movement-samples.ts";
import { pointwiseSamples } from "./pointwise-samples.ts";
import { productSamples } from "./product-samples.ts";
import { randomSamples } from "./random-samples.ts";
import { reductionSamples } from "./reduction-samples.ts";

/** Everything that a device must serve: what a kernels package passes to `conformance`. */
export const primitiveSamples: readonly Sample[] = [
  ...pointwiseSamples,
  ...randomSamples,
  ...movementSamples,
  ...reductionSamples,
  ...productSamples,
];
