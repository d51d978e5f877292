import type { Kernel } from "../kernel.ts";
import { convolution } from "../primitives/convolution.ts";
import { fft } from "../primitives/fft.ts";
import { matmul } from "../primitives/matmul.ts";
import { sizeOf } from "../shape.ts";
import { convolve } from "./convolution.ts";
import { type Dense, forEachIndex, positionOf, referenceKernel } from "./kernel.ts";

function multiply({ a, b }: Readonly<Record<string, Dense>>, y: readonly number[]): Float64Array {
  const out = new Float64Array(sizeOf(y));
  const [lead, k] = [y.length - 2, a!.shape.at(-1)!];
  const [m, n] = [y[lead]!, y[lead + 1]!];
  const matrixAt = ({ shape }: Dense, index: readonly number[]) => {
    const own = shape.slice(0, -2).map((extent, axis) => (extent === 1 ? 0 : index[lead - (shape.length - 2) + axis]!));
    return positionOf(shape, [...own, 0, 0]);
  };
  forEachIndex(y.slice(0, -2), (index, matrix) => {
    const [left, right] = [matrixAt(a!, index), matrixAt(b!, index)];
    for (let row = 0; row < m; row++)
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let i = 0; i < k; i++) sum += a!.data[left + row * k + i]! * b!.data[right + i * n + column]!;
        out[(matrix * m + row) * n + column] = sum;
      }
  });
  return out;
}

function transform({ re, im }: Readonly<Record<string, Dense>>, inverse: boolean) {
  const n = re!.shape.at(-1)!;
  const out = { re: new Float64Array(re!.data.length), im: new Float64Array(re!.data.length) };
  for (let row = 0; row < re!.data.length; row += n)
    for (let k = 0; k < n; k++)
      for (let j = 0; j < n; j++) {
        const angle = ((inverse ? 2 : -2) * Math.PI * ((j * k) % n)) / n;
        const [a, b, c, s] = [re!.data[row + j]!, im!.data[row + j]!, Math.cos(angle), Math.sin(angle)];
        out.re[row + k]! += a * c - b * s;
        out.im[row + k]! += a * s + b * c;
      }
  return out;
}

export const productKernels = (): Kernel[] => [
  referenceKernel(matmul, (inputs, _, { y }) => ({ y: multiply(inputs, y!.shape) })),
  referenceKernel(fft, (inputs, { inverse }) => transform(inputs, inverse)),
  referenceKernel(convolution, ({ x, weight }, attrs, { y }) => ({ y: convolve(x!, weight!, attrs, y!.shape) })),
];
