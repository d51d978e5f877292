import { zerosLike } from "../create.ts";
import { dtypes } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { defineOp, one, out } from "../op.ts";
import { axisIn, sameShape, show } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/**
 * The discrete Fourier transform along the last axis, of any length: y_k = sum over n of x_n exp(-2 pi i k n / N), real and imaginary parts apart. `inverse`
 * flips the sign of the exponent and does not divide by N, so that each is the adjoint of the other.
 */
export const fft = defineOp({
  name: "fft",
  inputs: { re: one(), im: one() },
  attrs: { inverse: false },
  outputs: { re: out(), im: out() },
  infer: ({ re, im }) => {
    axisIn(-1, re.shape.length, "fft");
    if (re.dtype !== im.dtype || dtypes[re.dtype].kind !== "float")
      throw new DTypeError(`fft: re and im must be one floating point dtype, got ${re.dtype} and ${im.dtype}.`);
    if (!sameShape(re.shape, im.shape)) throw new ShapeError(`fft: re ${show(re.shape)} and im ${show(im.shape)} must have one shape.`);
    return { re, im };
  },
  grad: ({ attrs: { inverse }, upstream }): { re: Tensor; im: Tensor } => {
    const like = (upstream.re ?? upstream.im)!;
    return fft({ re: upstream.re ?? zerosLike(like), im: upstream.im ?? zerosLike(like) }, { inverse: !inverse });
  },
});
