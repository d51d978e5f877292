import type { Kernel } from "@x/tensor";
import { adamwKernel, sumOfSquaresKernel } from "./adamw.ts";
import { attentionBackwardKernel, attentionKernel } from "./attention.ts";
import { decodeAttentionKernel, writeRowsKernel } from "./cache.ts";
import { convolutionKernel } from "./convolution.ts";
import { crossEntropyBackwardKernel, crossEntropyKernel } from "./cross-entropy.ts";
import { cumulativeKernels } from "./cumulative.ts";
import { fftKernel } from "./fft.ts";
import { embeddingKernel, gatherKernel, putAddKernel, scatterAddKernel, takeKernel } from "./gather.ts";
import { linearKernel } from "./linear.ts";
import { linearBackwardWeightsKernel } from "./linear-backward.ts";
import { matmulKernel } from "./matmul.ts";
import { concatKernel, copyKernel, embedKernel } from "./movement.ts";
import {
  addLayerNormKernel,
  addRmsNormKernel,
  layerNormBackwardKernel,
  layerNormKernel,
  rmsNormBackwardKernel,
  rmsNormKernel,
} from "./norm.ts";
import { pointwiseKernel } from "./pointwise.ts";
import { quantizedLinearKernel } from "./quantized-linear.ts";
import { reduceKernels } from "./reduce.ts";
import { ropeKernel } from "./rope.ts";
import { softmaxKernels } from "./softmax.ts";
import { sortKernel, topKKernel } from "./sort.ts";

/** The built-in kernels: one or more for each contract of @x/tensor and @x/ops. */
export const wasmKernels = (): Kernel[] => [
  ...[pointwiseKernel, copyKernel, concatKernel, embedKernel],
  ...[matmulKernel, linearKernel, linearBackwardWeightsKernel, quantizedLinearKernel],
  ...[takeKernel, putAddKernel, gatherKernel, scatterAddKernel, embeddingKernel],
  ...[...reduceKernels, ...softmaxKernels, crossEntropyKernel, crossEntropyBackwardKernel],
  ...[layerNormKernel, layerNormBackwardKernel, addLayerNormKernel, rmsNormKernel, rmsNormBackwardKernel, addRmsNormKernel],
  ...[...cumulativeKernels, sortKernel, topKKernel, fftKernel, convolutionKernel, ropeKernel, decodeAttentionKernel, writeRowsKernel],
  ...[attentionKernel, attentionBackwardKernel, adamwKernel, sumOfSquaresKernel],
];
