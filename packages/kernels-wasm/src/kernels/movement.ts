import { axisIn, concat, copy, dtypes, embed, encode, contiguousStrides as stridesOf } from "@x/tensor";
import { wasmKernel } from "./kernel.ts";
import { product } from "./work.ts";

export const copyKernel = wasmKernel(copy, {
  layout: { x: "strided" },
  plan(p, { specs: { x } }) {
    const raw = p.raw("x");
    p.copy(x.shape, dtypes[x.dtype].bytes, p.target("y"), stridesOf(x.shape), raw.place, raw.strides);
  },
});

export const concatKernel = wasmKernel(concat, {
  layout: { xs: "strided" },
  plan(p, { specs: { xs }, outputs: { y }, attrs: { axis } }) {
    const at = axisIn(axis, y.shape.length, "concat");
    const strides = stridesOf(y.shape);
    const { bytes } = dtypes[y.dtype];
    let start = 0;
    for (const [i, x] of xs.entries()) {
      const raw = p.raw("xs", i);
      p.copy(x.shape, bytes, { ...p.target("y"), offset: start * strides[at]! * bytes }, strides, raw.place, raw.strides);
      start += x.shape[at]!;
    }
  },
});

export const embedKernel = wasmKernel(embed, {
  layout: { x: "strided" },
  plan(p, { specs: { x }, outputs: { y }, attrs: { offsets, steps, value } }) {
    const { bytes } = dtypes[y.dtype];
    const size = product(y.shape) * bytes;
    const strides = stridesOf(y.shape);
    // The fill kernel repeats a word: as many copies of the value as fit into one.
    const repeated = encode(new Array<number>(4 / bytes).fill(value), y.dtype);
    if (product(x.shape) !== product(y.shape)) p.fill(p.target("y"), size, new DataView(repeated.buffer).getInt32(0, true));
    const first = offsets.reduce((sum, offset, axis) => sum + offset * strides[axis]!, 0);
    const raw = p.raw("x");
    const stepped = strides.map((stride, axis) => stride * steps[axis]!);
    p.copy(x.shape, bytes, { ...p.target("y"), offset: first * bytes }, stepped, raw.place, raw.strides);
  },
});
