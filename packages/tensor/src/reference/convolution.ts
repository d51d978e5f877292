import type { ConvolutionAttrs } from "../primitives/convolution.ts";
import { sizeOf } from "../shape.ts";
import { type Dense, forEachIndex, positionOf } from "./kernel.ts";

/** Convolution by its definition: every output sums over the kernel the inputs it meets; between and beyond the input there are zeros. */
export function convolve(x: Dense, weight: Dense, attrs: ConvolutionAttrs, y: readonly number[]): Float64Array {
  const out = new Float64Array(sizeOf(y));
  const perGroup = weight.shape[1]!;
  const outputsPerGroup = weight.shape[0]! / attrs.groups;
  const kernel = weight.shape.slice(1);
  forEachIndex(y, ([batch, output, ...space], position) => {
    const group = Math.floor(output! / outputsPerGroup);
    let sum = 0;
    forEachIndex(kernel, ([channel, ...offset]) => {
      const at = offset.map((k, i) =>
        locate(
          space[i]! * (attrs.stride[i] ?? 1) + k * (attrs.dilation[i] ?? 1) - (attrs.padding[i]?.[0] ?? 0),
          attrs.inputDilation[i] ?? 1,
          x.shape[i + 2]!,
        ),
      );
      if (at.includes(-1)) return;
      sum +=
        x.data[positionOf(x.shape, [batch!, group * perGroup + channel!, ...at])]! *
        weight.data[positionOf(weight.shape, [output!, channel!, ...offset])]!;
    });
    out[position] = sum;
  });
  return out;
}

/** The element that stands at a place of the dilated input, or -1 where a zero stands. */
function locate(place: number, dilation: number, extent: number): number {
  const at = place / dilation;
  return Number.isInteger(at) && at >= 0 && at < extent ? at : -1;
}
