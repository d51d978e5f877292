import type { Sample } from "@x/tensor";
import { activationSamples } from "./activations.ts";
import { adamwSamples } from "./adamw.ts";
import { attentionSamples } from "./attention.ts";
import { crossEntropySamples } from "./cross-entropy.ts";
import { decodeAttentionSamples } from "./decode-attention.ts";
import { dropoutSamples } from "./dropout.ts";
import { embeddingSamples } from "./embedding.ts";
import { layerNormSamples } from "./layer-norm.ts";
import { linearSamples } from "./linear.ts";
import { linearBackwardSamples } from "./linear-backward.ts";
import { quantizedLinearSamples } from "./quantized-linear.ts";
import { rmsNormSamples } from "./rms-norm.ts";
import { ropeSamples } from "./rope.ts";
import { softmaxSamples } from "./softmax.ts";
import { sumOfSquaresSamples } from "./sum-of-squares.ts";

/** Cases for every contract of this package: what a device's kernels must get right. See `conformance` of @x/testing. */
export const samples: readonly Sample[] = [
  ...activationSamples,
  ...adamwSamples,
  ...attentionSamples,
  ...crossEntropySamples,
  ...decodeAttentionSamples,
  ...dropoutSamples,
  ...embeddingSamples,
  ...layerNormSamples,
  ...linearSamples,
  ...linearBackwardSamples,
  ...quantizedLinearSamples,
  ...rmsNormSamples,
  ...ropeSamples,
  ...softmaxSamples,
  ...sumOfSquaresSamples,
];
