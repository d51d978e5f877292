import { convolution } from "../primitives/convolution.ts";
import { fft } from "../primitives/fft.ts";
import { gather, putAdd, scatterAdd, take } from "../primitives/gather.ts";
import { matmul } from "../primitives/matmul.ts";
import type { Sample, SampleInput, Tolerance } from "../sample.ts";

const near: Tolerance = { atol: 5e-5, rtol: 2e-5 };
const indices = (shape: readonly number[], high: number, low = 0): SampleInput => ({
  shape,
  dtype: "i32",
  fill: { kind: "integers", low, high },
});

/** Matrix products: sizes around every tile, vectors, batches that broadcast, all transposes. */
export const matmulSamples: readonly Sample[] = [
  { name: "1 x 1 x 1", a: [1, 1], b: [1, 1] },
  { name: "primes", a: [13, 37], b: [37, 11] },
  { name: "beyond a tile by one", a: [65, 33], b: [33, 129] },
  { name: "several tiles", a: [96, 64], b: [64, 80] },
  { name: "row times matrix", a: [1, 67], b: [67, 53] },
  { name: "matrix times column", a: [53, 67], b: [67, 1] },
  { name: "outer product", a: [19, 1], b: [1, 23] },
  { name: "batched", a: [3, 5, 7], b: [3, 7, 4] },
  { name: "one matrix for a batch", a: [2, 3, 5, 7], b: [7, 4] },
  { name: "batches that broadcast", a: [2, 1, 5, 7], b: [3, 7, 4] },
  { name: "nothing to sum over is 0", a: [3, 0], b: [0, 4] },
  { name: "no rows", a: [0, 5], b: [5, 4] },
  { name: "a long sum", a: [3, 1023], b: [1023, 5] },
].map(
  ({ name, a, b }): Sample => ({
    op: matmul,
    name,
    inputs: { a: { shape: a }, b: { shape: b } },
    tolerance: name === "a long sum" ? { atol: 4e-4, rtol: 2e-5 } : near,
  }),
);

const transposed: readonly Sample[] = (
  [
    { name: "a transposed", a: "transposed", b: "contiguous" },
    { name: "b transposed", a: "contiguous", b: "transposed" },
    { name: "both transposed", a: "transposed", b: "transposed" },
    { name: "rows apart, a repeated batch", a: "sliced", b: "expanded" },
  ] as const
).map(({ name, a, b }) => ({
  op: matmul,
  name,
  inputs: { a: { shape: [3, 17, 35], layout: a }, b: { shape: [3, 35, 18], layout: b } },
  tolerance: near,
}));

const narrow: readonly Sample[] = (["f16", "bf16"] as const).map((dtype) => ({
  op: matmul,
  name: `${dtype}, accumulated in f32`,
  inputs: { a: { shape: [9, 70], dtype }, b: { shape: [70, 11], dtype } },
  tolerance: dtype === "f16" ? { atol: 2e-2, rtol: 2e-3 } : { atol: 2e-1, rtol: 2e-2 },
}));

/** Gathers and scatters by index. Indices beyond an axis are clamped to it. */
const indexed: readonly Sample[] = [
  { op: take, name: "rows", inputs: { x: { shape: [11, 5] }, indices: indices([7], 11) } },
  { op: take, name: "rows by a matrix of indices", inputs: { x: { shape: [11, 33] }, indices: indices([3, 4], 11) } },
  {
    op: take,
    name: "columns of a strided matrix",
    inputs: { x: { shape: [5, 9], layout: "transposed" }, indices: indices([4], 9) },
    attrs: { axis: 1 },
  },
  { op: take, name: "clamped", inputs: { x: { shape: [4, 3] }, indices: indices([9], 12, -6) } },
  { op: take, name: "by a scalar", inputs: { x: { shape: [4, 3] }, indices: indices([], 4) } },
  { op: take, name: "none", inputs: { x: { shape: [4, 3] }, indices: indices([0], 4) } },
  { op: take, name: "u8", inputs: { x: { shape: [6, 5], dtype: "u8" }, indices: indices([5], 6) } },
  { op: take, name: "f16", inputs: { x: { shape: [6, 5], dtype: "f16" }, indices: indices([5], 6) } },
  { op: putAdd, name: "rows, some twice", inputs: { x: { shape: [9, 5] }, indices: indices([9], 4) }, attrs: { extent: 4 } },
  { op: putAdd, name: "by a matrix of indices", inputs: { x: { shape: [3, 4, 33] }, indices: indices([3, 4], 7) }, attrs: { extent: 7 } },
  {
    op: putAdd,
    name: "along the last axis",
    inputs: { x: { shape: [5, 8], layout: "transposed" }, indices: indices([8], 3) },
    attrs: { axis: 1, extent: 3 },
  },
  { op: putAdd, name: "nothing into zeros", inputs: { x: { shape: [0, 3] }, indices: indices([0], 4) }, attrs: { extent: 4 } },
  { op: putAdd, name: "i32, clamped", inputs: { x: { shape: [9, 2], dtype: "i32" }, indices: indices([9], 9, -5) }, attrs: { extent: 4 } },
  { op: gather, name: "along the last axis", inputs: { x: { shape: [5, 13] }, indices: indices([5, 6], 13) }, attrs: { axis: -1 } },
  {
    op: gather,
    name: "along the first axis, strided",
    inputs: { x: { shape: [13, 5], layout: "transposed" }, indices: indices([3, 5], 13) },
    attrs: { axis: 0 },
  },
  { op: gather, name: "clamped", inputs: { x: { shape: [2, 4] }, indices: indices([2, 9], 9, -5) }, attrs: { axis: 1 } },
  { op: gather, name: "one of each row", inputs: { x: { shape: [7, 31] }, indices: indices([7, 1], 31) }, attrs: { axis: 1 } },
  {
    op: scatterAdd,
    name: "along the last axis, some twice",
    inputs: { x: { shape: [5, 9] }, indices: indices([5, 9], 4) },
    attrs: { axis: 1, extent: 4 },
  },
  {
    op: scatterAdd,
    name: "along the first axis",
    inputs: { x: { shape: [9, 3] }, indices: indices([9, 3], 12) },
    attrs: { axis: 0, extent: 12 },
  },
  { op: scatterAdd, name: "empty", inputs: { x: { shape: [3, 0] }, indices: indices([3, 0], 2) }, attrs: { axis: 1, extent: 2 } },
  {
    op: scatterAdd,
    name: "u32",
    inputs: { x: { shape: [4, 6], dtype: "u32" }, indices: indices([4, 6], 3) },
    attrs: { axis: 1, extent: 3 },
  },
];

const image = (shape: readonly number[]): SampleInput => ({ shape });
const convolutions: readonly Sample[] = [
  { name: "one axis, causal", x: [2, 3, 17], weight: [4, 3, 5], attrs: { padding: [[4, 0]] } },
  { name: "depthwise", x: [2, 6, 13], weight: [6, 1, 4], attrs: { padding: [[3, 0]], groups: 6 } },
  {
    name: "two axes, same size",
    x: [2, 3, 7, 9],
    weight: [5, 3, 3, 3],
    attrs: {
      padding: [
        [1, 1],
        [1, 1],
      ],
    },
  },
  { name: "patches", x: [1, 3, 12, 8], weight: [5, 3, 4, 4], attrs: { stride: [4, 4] } },
  {
    name: "strides that leave a rest",
    x: [1, 2, 10, 11],
    weight: [3, 2, 3, 2],
    attrs: {
      stride: [3, 2],
      padding: [
        [0, 1],
        [2, 0],
      ],
    },
  },
  { name: "dilated, grouped", x: [2, 4, 15], weight: [6, 2, 3], attrs: { dilation: [3], groups: 2 } },
  {
    name: "transposed by input dilation",
    x: [1, 3, 5, 4],
    weight: [2, 3, 3, 3],
    attrs: {
      inputDilation: [2, 2],
      padding: [
        [2, 2],
        [2, 3],
      ],
    },
  },
  { name: "padding that cuts", x: [1, 2, 9], weight: [2, 2, 3], attrs: { padding: [[-2, -1]] } },
  { name: "1 x 1", x: [2, 5, 3, 3], weight: [4, 5, 1, 1], attrs: {} },
  { name: "no batch", x: [0, 3, 7], weight: [4, 3, 5], attrs: {} },
  { name: "a kernel that does not fit gives nothing", x: [1, 2, 3], weight: [2, 2, 5], attrs: {}, gradients: [] },
].map(({ name, x, weight, attrs, ...rest }) => ({
  op: convolution,
  name,
  inputs: { x: image(x), weight: image(weight) },
  attrs,
  tolerance: near,
  ...rest,
}));

const transforms: readonly Sample[] = [1, 2, 8, 7, 12, 31, 64, 100].flatMap((n): Sample[] => [
  { op: fft, name: `length ${n}`, inputs: { re: { shape: [3, n] }, im: { shape: [3, n] } }, tolerance: { atol: 1e-4, rtol: 1e-5 } },
  {
    op: fft,
    name: `length ${n}, inverse`,
    inputs: { re: { shape: [2, n] }, im: { shape: [2, n] } },
    attrs: { inverse: true },
    tolerance: { atol: 1e-4, rtol: 1e-5 },
  },
]);

/** Matrix products, gathers and scatters, convolutions, Fourier transforms. */
export const productSamples: readonly Sample[] = [...matmulSamples, ...transposed, ...narrow, ...indexed, ...convolutions, ...transforms];
