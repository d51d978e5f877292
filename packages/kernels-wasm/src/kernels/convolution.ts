import { convolution } from "@x/tensor";
import { wasmKernel } from "./kernel.ts";
import type { Planner } from "./planner.ts";
import { multiply } from "./product.ts";

/** Two spatial axes, a first one of extent 1 where there is one. */
const plane = <T>(axes: readonly T[], first: T): [T, T] => (axes.length === 1 ? [first, axes[0]!] : [axes[0]!, axes[1]!]);

/** The patches of each group as columns of a matrix, times the weight. */
export const convolutionKernel = wasmKernel(convolution, {
  plan(p, { specs: { x, weight }, outputs: { y }, attrs }) {
    const [batch, inputs, ...space] = x.shape as [number, number, ...number[]];
    const outputs = weight.shape[0]!;
    const { groups } = attrs;
    const at = <T>(list: readonly T[], absent: T): [T, T] =>
      plane(
        space.map((_, i) => list[i] ?? absent),
        absent,
      );
    const [height, width] = plane(space, 1);
    const [kernelH, kernelW] = plane(weight.shape.slice(2), 1);
    const [outH, outW] = plane(y.shape.slice(2), 1);
    const channels = inputs / groups;
    const [k, area] = [channels * kernelH * kernelW, outH * outW];
    const [strideH, strideW] = at(attrs.stride, 1);
    const [[padH], [padW]] = at<readonly [number, number]>(attrs.padding, [0, 0]);
    const [inputDilationH, inputDilationW] = at(attrs.inputDilation, 1);
    const [dilationH, dilationW] = at(attrs.dilation, 1);
    const steps = { strideH, strideW, padH, padW, inputDilationH, inputDilationW, dilationH, dilationW };
    const extents = { groups, channels, height, width, outH, outW, kernelH, kernelW };
    const area1 = height * width;
    const xStrides = { xBatch: inputs * area1, xChannel: area1, xRow: width, xCol: 1 };
    const columns = patches(p, { ...extents, ...steps, ...xStrides }, batch * groups * k, area);
    const perGroup = outputs / groups;
    multiply(p, {
      ...{ batch: [batch, groups], m: perGroup, n: area, k, c: p.output("y") },
      a: { place: p.input("weight"), batch: [0, perGroup * k], row: k, column: 1 },
      b: { place: columns, batch: [groups * k * area, k * area], row: area, column: 1 },
    });
  },
});

type PatchArgs = Omit<Parameters<typeof patchesOf>[1], "out" | "x">;
const patchesOf = (p: Planner, args: Parameters<typeof p.run<"patches">>[1], rows: number, area: number) =>
  p.run("patches", args, rows, 4 * area);

function patches(p: Planner, args: PatchArgs, rows: number, area: number) {
  const out = p.scratch(4 * rows * area);
  patchesOf(p, { ...args, out, x: p.input("x") }, rows, area);
  return out;
}
