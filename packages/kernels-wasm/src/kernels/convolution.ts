import { convolution } from "@x/tensor";
import { wasmKernel } from "./kernel.ts";
import { ceilDiv } from "./work.ts";

/** Two spatial axes, a first one of extent 1 where there is one. */
const plane = <T>(axes: readonly T[], first: T): [T, T] => (axes.length === 1 ? [first, axes[0]!] : [axes[0]!, axes[1]!]);

/** Tiles of the result: each makes the patches it needs in its thread's stack, so there is no scratch. */
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
    const perGroup = outputs / groups;
    const columns = Math.min(128, ceilDiv(area, 8) * 8);
    const tiles = batch * groups * ceilDiv(area, columns);
    // A unit takes all outputs, so that its patches are made once; fewer where there would be too few units to share out.
    const rows = tiles < 8 ? Math.min(48, perGroup) : perGroup;
    const places = { y: p.output("y"), x: p.input("x"), weight: p.input("weight") };
    p.run(
      "convolution",
      { ...places, ...extents, ...steps, outputs: perGroup, rows, columns },
      tiles * ceilDiv(perGroup, rows),
      rows * columns * (k + 8),
    );
  },
});
