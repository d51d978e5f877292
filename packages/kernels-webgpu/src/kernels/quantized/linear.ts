import { quantizedLinear } from "@x/ops";
import { sizeOf } from "@x/tensor";
import { u32 } from "../../device/launch.ts";
import { webgpuKernel } from "../kernel.ts";
import { outputsOf, perInvocation, type Shaders, sharedSumSource, span, tileSource } from "./sources.ts";

/** Codes become numbers in registers, where they are multiplied: of the weight, memory sees its bytes alone. */
export const quantizedLinearKernel = webgpuKernel(quantizedLinear, {
  plan(p, { specs: { x, weight }, attrs: { bits, group } }) {
    const n = weight.shape[0]!;
    const k = x.shape.at(-1)!;
    const m = sizeOf(x.shape.slice(0, -1));
    if (m * n === 0) return;
    const shaders: Shaders = { bits, group, rows: Math.min(perInvocation, m), fours: k % 4 === 0 && k > 0, bias: p.has("bias") };
    // A GPU does better by sharing out the sums of few rows; a processor that plays one does not.
    const few = m <= perInvocation && !p.caps.software;
    p.run({
      label: few ? "quantizedLinear of few rows" : "quantizedLinear",
      code: few ? sharedSumSource(shaders) : tileSource(shaders),
      params: { m: u32(m), n: u32(n), k: u32(k), groups: u32(Math.ceil(k / group)) },
      groups: few ? Math.ceil(n / outputsOf) : Math.ceil(m / span) * Math.ceil(n / span),
      reads: {
        x: [p.input("x"), shaders.fours ? 4 : 1],
        weight: [p.input("weight"), 1, "words"],
        ...{ scales: p.input("scales"), zeros: p.input("zeros") },
        ...(shaders.bias && { bias: p.input("bias") }),
      },
      writes: { y: p.output("y") },
    });
  },
});
