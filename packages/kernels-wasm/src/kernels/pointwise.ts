import { dtypes, pointwise } from "@x/tensor";
import { collapse, maximumRank, unsupported } from "../emit/index.ts";
import { wasmKernel } from "./kernel.ts";
import type { Planner } from "./planner.ts";
import { keysOf } from "./programs.ts";

/** Programs of elementwise operations, compiled to a loop over vectors. */
export const pointwiseKernel = wasmKernel(pointwise, {
  layout: { leaves: "strided" },
  accepts: ({ attrs: { program } }) => unsupported(program) ?? true,
  plan(p, { attrs: { program, shape }, specs }) {
    const keys = keysOf(program);
    const leaves = specs.leaves.map((_, i) => {
      const leaf = p.raw("leaves", i);
      if (!keys.has(i)) return leaf;
      return { place: leaf.strides[0] === 1 ? leaf.place : p.contiguous(leaf, 4).place };
    });
    const { extents } = collapse(
      shape,
      leaves.map((leaf) => ("strides" in leaf ? leaf.strides : undefined)),
    );
    const fitting = extents.length <= maximumRank ? leaves : leaves.map((leaf, i) => ("strides" in leaf ? gathered(p, i) : leaf));
    p.program(program, shape, fitting, p.target("y"));
  },
});

/** A leaf of too many dimensions, copied to contiguous. */
function gathered(p: Planner, leaf: number) {
  const { dtype } = p.spec("leaves", leaf);
  return p.contiguous(p.raw("leaves", leaf), dtypes[dtype].bytes);
}
