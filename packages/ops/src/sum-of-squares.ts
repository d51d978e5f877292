import { defineOp, many, out, statisticsOf, type Tensor, TensorError, type TensorLike } from "@x/tensor";

/** The sum of the squares of all elements of all tensors, f32. */
export const sumOfSquares = defineOp({
  name: "sumOfSquares",
  inputs: { xs: many() },
  outputs: { y: out() },
  infer: ({ xs }) => {
    const first = xs[0];
    if (!first) throw new TensorError("sumOfSquares: needs at least one tensor.");
    return { y: { shape: [], dtype: statisticsOf(first.dtype) } };
  },
  reference: ({ xs }) => ({
    y: xs.map((x) => x.cast(statisticsOf(x.dtype)).square().sum()).reduce((a, b) => a.add(b)),
  }),
});

/** The 2-norm of all tensors together. */
export const globalNorm = (xs: readonly TensorLike[]): Tensor => sumOfSquares({ xs }).sqrt();
