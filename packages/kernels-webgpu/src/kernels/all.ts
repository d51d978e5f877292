import type { Kernel } from "@x/tensor";
import { adamwKernel, sumOfSquaresKernel } from "./adamw.ts";
import { attentionKernel } from "./attention/attention.ts";
import { attentionBackwardKernel } from "./attention/backward.ts";
import { convolutionKernel } from "./convolution.ts";
import { crossEntropyKernels } from "./cross-entropy.ts";
import { cumulativeKernels } from "./cumulative.ts";
import { decodeAttentionKernel } from "./decode.ts";
import { fftKernel } from "./fft/fft.ts";
import { embeddingKernel, gatherKernel, putAddKernel, scatterAddKernel, takeKernel } from "./gather.ts";
import { concatKernel, copyKernel, embedKernel } from "./movement.ts";
import { normKernels } from "./norm.ts";
import { pointwiseKernel } from "./pointwise.ts";
import { linearKernel } from "./product/linear.ts";
import { linearBackwardWeightsKernel } from "./product/linear-backward.ts";
import { matmulKernel } from "./product/matmul.ts";
import { quantizedLinearKernel } from "./quantized/linear.ts";
import { reduceKernels } from "./reduce.ts";
import { ropeKernel } from "./rope.ts";
import { softmaxKernels } from "./softmax.ts";
import { sortKernel, topKKernel } from "./sort.ts";
import { writeRowsKernel } from "./write-rows.ts";

/** The built-in kernels: one or more for each contract of @x/tensor and @x/ops. */
export const webgpuKernels = (): Kernel[] => [
  ...[pointwiseKernel, copyKernel, concatKernel, embedKernel],
  ...[matmulKernel, linearKernel, linearBackwardWeightsKernel, quantizedLinearKernel],
  ...[takeKernel, putAddKernel, gatherKernel, scatterAddKernel, embeddingKernel],
  ...[...reduceKernels, ...cumulativeKernels, sortKernel, topKKernel, adamwKernel, sumOfSquaresKernel],
  ...[...softmaxKernels, ...normKernels, ...crossEntropyKernels, fftKernel, convolutionKernel],
  ...[attentionKernel, attentionBackwardKernel, decodeAttentionKernel, ropeKernel, writeRowsKernel],
];
