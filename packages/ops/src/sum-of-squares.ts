import { DTypeError, defineOp, many, out, statisticsOf, type Tensor, TensorError, type TensorLike } from "@x/tensor";
import { expectFloat } from "./expect.ts";

/** The sum of the squares of all elements of all tensors: a scalar, f32 (f64 for f64). xs: at least one tensor, of any shapes. */
export const sumOfSquares = defineOp({
  name: "sumOfSquares",
  inputs: { xs: many() },
  outputs: { y: out() },
  infer: ({ xs }) => {
    const first = xs[0];
    if (!first) throw new TensorError("sumOfSquares: xs must hold at least one tensor, got none.");
    const dtype = statisticsOf(first.dtype);
    for (const [i, x] of xs.entries()) {
      expectFloat("sumOfSquares", `xs[${i}]`, x);
      if (statisticsOf(x.dtype) !== dtype)
        throw new DTypeError(`sumOfSquares: xs[${i}] is ${x.dtype}, xs[0] is ${first.dtype}. Nothing is promoted: cast one of them.`);
    }
    return { y: { shape: [], dtype } };
  },
  reference: ({ xs }) => ({
    y: xs.map((x) => x.cast(statisticsOf(x.dtype)).square().sum()).reduce((a, b) => a.add(b)),
  }),
});

/** The 2-norm of all tensors together. */
export const globalNorm = (xs: readonly TensorLike[]): Tensor => sumOfSquares({ xs }).sqrt();
