import { pointwise } from "@x/tensor";
import { webgpuKernel } from "./kernel.ts";

/** Programs of elementwise operations, one launch each. */
export const pointwiseKernel = webgpuKernel(pointwise, {
  layout: { leaves: "strided" },
  accepts: ({ attrs: { program } }) =>
    program.instructions.some(({ type }) => type === "f64")
      ? "f64 is not served on webgpu; the reference device has it, f32 is the nearest here"
      : true,
  plan(p, { attrs: { program, shape }, specs }) {
    const keys = new Set(program.instructions.flatMap((instruction) => (instruction.op === "random" ? [instruction.leaf] : [])));
    const leaves = specs.leaves.map((_, i) => {
      const leaf = p.strided("leaves", i);
      if (!keys.has(i)) return leaf;
      if (leaf.strides[0] === 1 && leaf.offset === 0) return p.input("leaves", i);
      return { name: p.contiguous(leaf).name, dtype: leaf.dtype };
    });
    p.program(program, shape, leaves, p.target("y"));
  },
});
