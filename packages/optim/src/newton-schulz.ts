import type { Tensor } from "@x/tensor";

/** Coefficients of the quintic a x + b x^3 + c x^5 that lifts small singular values fastest. Jordan et al. 2024. */
const [a, b, c] = [3.4445, -4.775, 2.0315];

/**
 * The nearest semi-orthogonal matrix to each [..., rows, cols], roughly: singular values come out between about 0.7 and 1.2. Each step is
 * X <- a X + (b A + c A A) X with A = X X^T, on the transpose where rows > cols, so that A is the smaller of the two. In the dtype of x (f32). A zero matrix stays zero.
 */
export function orthogonalize(x: Tensor, steps = 5): Tensor {
  const [rows, cols] = x.shape.slice(-2) as [number, number];
  const tall = rows > cols;
  const wide = tall ? x.transpose() : x;
  let y = wide.div(wide.square().sum([-2, -1], { keepDims: true }).sqrt().maximum(1e-7));
  for (let i = 0; i < steps; i++) {
    const gram = y.matmul(y.transpose());
    const polynomial = gram.mul(b).add(gram.matmul(gram).mul(c));
    y = y.mul(a).add(polynomial.matmul(y));
  }
  return tall ? y.transpose() : y;
}
