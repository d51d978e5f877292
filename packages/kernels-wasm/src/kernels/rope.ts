import { rope } from "@x/ops";
import { wasmKernel } from "./kernel.ts";

export const ropeKernel = wasmKernel(rope, {
  layout: { x: "rows" },
  plan(p, { specs: { x, cos, positions }, attrs: { interleaved, inverse } }) {
    const [batch, heads, rows, dim] = x.shape as [number, number, number, number];
    const from = p.strided("x");
    const tables = { cos: p.input("cos"), sin: p.input("sin"), positions: p.input("positions") };
    p.run(
      "rope",
      {
        ...{ y: p.output("y"), x: from.place, ...tables, heads, rows, dim, rotary: 2 * cos.shape[1]!, length: cos.shape[0]! },
        ...{ interleaved: interleaved ? 1 : 0, inverse: inverse ? 1 : 0, positionBatch: positions.shape.length === 2 ? rows : 0 },
        ...{ xBatch: from.strides[0]!, xHead: from.strides[1]!, xRow: from.strides[2]! },
        ...{ yBatch: heads * rows * dim, yHead: rows * dim, yRow: dim },
      },
      batch * heads * rows,
      dim,
    );
  },
});
