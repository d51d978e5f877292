import { linearBackwardWeights } from "@x/ops";
import { wasmKernel } from "./kernel.ts";
import { multiply } from "./product.ts";
import { reduceAxes } from "./reduce.ts";
import { product } from "./work.ts";

/** The product and the sum that `matmul` and `sum` would make: the same bits. */
export const linearBackwardWeightsKernel = wasmKernel(linearBackwardWeights, {
  plan(p, { specs: { x, dy } }) {
    const [n, m, k] = [x.shape.at(-1)!, dy.shape.at(-1)!, product(x.shape.slice(0, -1))];
    const upstream = p.input("dy");
    multiply(p, {
      ...{ batch: [], m, n, k, c: p.output("weight") },
      a: { place: upstream, batch: [], row: 1, column: m },
      b: { place: p.input("x"), batch: [], row: n, column: 1 },
    });
    reduceAxes(p, "sum", "f32", upstream, [k, m], [0], p.output("bias"));
  },
});
