import { linearBackwardWeights } from "@x/ops";
import { type Kernel, sizeOf } from "@x/tensor";
import { webgpuKernel } from "../kernel.ts";
import { reduceAxes } from "../reduce.ts";
import { multiply } from "./product.ts";
import type { Choose } from "./tiles.ts";

/** The sums of dy fall out of the product, which reads it anyway; `choose` forces a member of the portfolio. */
export const linearBackwardWeightsBy = (choose?: Choose): Kernel =>
  webgpuKernel(linearBackwardWeights, {
    plan(p, { specs: { x, dy } }) {
      const [n, m, k] = [x.shape.at(-1)!, dy.shape.at(-1)!, sizeOf(x.shape.slice(0, -1))];
      if (n === 0) reduceAxes(p, "sum", p.input("dy"), [k, m], [0], p.output("bias"));
      multiply(
        p,
        {
          ...{ batch: [], m, n, k, y: "weight", sums: "bias" },
          a: { place: p.input("dy"), offset: 0, batch: [], row: 1, column: m },
          b: { place: p.input("x"), offset: 0, batch: [], row: n, column: 1 },
        },
        choose,
      );
    },
  });

export const linearBackwardWeightsKernel = linearBackwardWeightsBy();
