import { globalNorm } from "@x/ops";
import { onesLike, type Tensor, type TensorLike } from "@x/tensor";
import { asTensor, expectNumber } from "./scalars.ts";

export interface ClipOptions {
  /** What the gradients are to be multiplied by before clipping: one over the loss scale, or over the number of tokens; shape []. */
  readonly gradScale?: TensorLike | undefined;
}

/** All on the device, shape []. */
export interface Clipped {
  /** The 2-norm of all gradients together, after `gradScale` and before clipping. */
  readonly norm: Tensor;
  /** What the optimizer is to multiply gradients by: the given `gradScale` times min(1, maxNorm / (norm + 1e-6)). */
  readonly gradScale: Tensor;
  /** bool: the norm is infinite or NaN. Handed to the optimizer, such a step changes nothing. */
  readonly skip: Tensor;
}

/**
 * Clips the global norm of gradients without rewriting them: pass `gradScale` (and `skip`, to leave out steps whose gradients are not finite) on to
 * `optimizer.update`. `maxNorm` Infinity only measures. As torch.nn.utils.clip_grad_norm_.
 */
export function clipByGlobalNorm(gradients: readonly Tensor[], maxNorm: number, { gradScale }: ClipOptions = {}): Clipped {
  expectNumber("clipByGlobalNorm", "maxNorm", maxNorm, 0, Infinity, false);
  const raw = globalNorm(gradients);
  const scale = (gradScale ? asTensor("clipByGlobalNorm", "gradScale", gradScale) : onesLike(raw)).cast(raw.dtype);
  const norm = raw.mul(scale.abs());
  const coefficient = onesLike(raw).mul(Math.min(maxNorm, 3e38)).div(norm.add(1e-6)).minimum(1);
  return { norm, gradScale: scale.mul(coefficient), skip: notFinite(norm) };
}

/** Whether an f32 is infinite or NaN, by its exponent bits: comparisons with NaN may be optimised away on some devices. */
function notFinite(x: Tensor): Tensor {
  const exponent = 0x7f800000;
  return x.cast("f32").bits().and(exponent).eq(exponent);
}
