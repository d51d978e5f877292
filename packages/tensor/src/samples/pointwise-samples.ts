import type { DType } from "../dtype.ts";
import { scalar } from "../pointwise.ts";
import type { ScalarName } from "../program.ts";
import type { ExpressionSample, Fill, SampleInput, Tolerance } from "../sample.ts";

const shape = [3, 37];
const normal: Fill = { kind: "normal", deviation: 2 };
const positive: Fill = { kind: "uniform", low: 0.1, high: 5 };
const small: Fill = { kind: "uniform", low: -0.9, high: 3 };
const nonzero: Fill = { kind: "uniform", low: 0.5, high: 3 };
/** Halves, so that ties show, on both sides of zero. */
const halves: Fill = { kind: "values", values: [-2.5, -2, -1.5, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 1.5, 2, 2.5, 3.5] };
const special: Fill = {
  kind: "values",
  values: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 0, 1, -1, 1e-30, 88, -88, 3e38],
};

const relative: Tolerance = { atol: 1e-6, rtol: 3e-6 };

const unary: readonly [ScalarName, Fill, Tolerance?][] = [
  ["neg", normal],
  ["abs", normal],
  ["sign", normal],
  ["floor", halves],
  ["ceil", halves],
  ["round", halves],
  ["sqrt", positive],
  ["rsqrt", positive],
  ["exp", normal],
  ["expm1", { kind: "normal", deviation: 0.5 }],
  ["log", positive],
  ["log1p", small],
  ["sin", { kind: "normal", deviation: 6 }],
  ["cos", { kind: "normal", deviation: 6 }],
  ["tanh", normal],
  ["erf", normal],
  ["sigmoid", { kind: "normal", deviation: 6 }],
];
const binary: readonly [ScalarName, Fill, Fill][] = [
  ["add", normal, normal],
  ["sub", normal, normal],
  ["mul", normal, normal],
  ["div", normal, nonzero],
  ["mod", normal, nonzero],
  ["min", normal, normal],
  ["max", normal, normal],
  ["pow", positive, small],
];
const comparisons: readonly ScalarName[] = ["eq", "ne", "lt", "le", "gt", "ge"];

const input = (fill: Fill, dtype: DType = "f32", at: readonly number[] = shape): SampleInput => ({ shape: at, dtype, fill });

/** Every scalar instruction on f32, with its gradient. */
const floats: readonly ExpressionSample[] = [
  ...unary.map(
    ([op, fill]): ExpressionSample => ({ name: op, inputs: { x: input(fill) }, tolerance: relative, build: ({ x }) => scalar(op, [x!]) }),
  ),
  ...binary.map(
    ([op, first, second]): ExpressionSample => ({
      name: op,
      inputs: { x: input(first), y: input(second) },
      tolerance: op === "pow" ? { atol: 1e-5, rtol: 1e-5 } : relative,
      build: ({ x, y }) => scalar(op, [x!, y!]),
    }),
  ),
  {
    name: "min and max of equals share the gradient",
    inputs: { x: input(halves), y: input(halves) },
    build: ({ x, y }) => x!.minimum(y!).add(x!.maximum(y!).mul(3)),
  },
  ...comparisons.map(
    (op): ExpressionSample => ({
      name: op,
      inputs: { x: input(halves), y: input({ kind: "values", values: [-1, 0, 0.5, 2.5, 2] }) },
      build: ({ x, y }) => scalar(op, [x!, y!]),
    }),
  ),
  {
    name: "select",
    inputs: { test: { shape, dtype: "bool" }, x: input(normal), y: input(normal) },
    build: ({ test, x, y }) => test!.where(x!, y!),
  },
  { name: "bits", inputs: { x: input(normal) }, build: ({ x }) => x!.bits() },
];

const specials: readonly ExpressionSample[] = (
  ["neg", "abs", "floor", "round", "sqrt", "exp", "expm1", "log", "log1p", "tanh", "erf", "sigmoid", "rsqrt"] as const
).map((op) => ({
  name: `${op} of infinities, NaN and extremes`,
  inputs: { x: input(special) },
  gradients: [],
  tolerance: relative,
  build: ({ x }) => scalar(op, [x!]),
}));
const specialPairs: readonly ExpressionSample[] = (["add", "mul", "div", "min", "max", "lt", "eq", "ne"] as const).map((op) => ({
  name: `${op} of infinities, NaN and extremes`,
  inputs: { x: input(special, "f32", [10, 1]), y: input(special, "f32", [10]) },
  gradients: [],
  tolerance: relative,
  build: ({ x, y }) => scalar(op, [x!, y!]),
}));

const wide = { kind: "values", values: [0, 1, 2, 3, 7, 100, 2_147_483_647, 65_537, 12_345_678] } as const;
const signed: Fill = { kind: "values", values: [0, 1, -1, 2, -3, 7, -100, 2_147_483_647, -2_147_483_648, 65_537, -70_001] };
const shifts: Fill = { kind: "integers", low: 0, high: 32 };

/** Integer arithmetic wraps, division truncates, shifts follow the sign. */
const integers: readonly ExpressionSample[] = (["i32", "u32"] as const).flatMap((dtype): ExpressionSample[] => {
  const fill = dtype === "i32" ? signed : wide;
  const other: Fill = { kind: "values", values: dtype === "i32" ? [3, -1, 2, -7, 0, 1, 65_537] : [3, 1, 2, 7, 0, 65_537] };
  const two = { x: input(fill, dtype), y: input(other, dtype) };
  return [
    ...(["add", "sub", "mul", "div", "mod", "min", "max", "and", "or", "xor", ...comparisons] as const).map(
      (op): ExpressionSample => ({ name: `${op} of ${dtype}`, inputs: two, build: ({ x, y }) => scalar(op, [x!, y!]) }),
    ),
    ...(["shl", "shr"] as const).map(
      (op): ExpressionSample => ({
        name: `${op} of ${dtype}`,
        inputs: { x: input(fill, dtype), y: input(shifts, dtype) },
        build: ({ x, y }) => scalar(op, [x!, y!]),
      }),
    ),
    ...(["neg", "not", "abs", "sign"] as const).map(
      (op): ExpressionSample => ({ name: `${op} of ${dtype}`, inputs: { x: input(fill, dtype) }, build: ({ x }) => scalar(op, [x!]) }),
    ),
  ];
});

const bools: readonly ExpressionSample[] = [
  ...(["and", "or", "xor", "eq", "ne"] as const).map(
    (op): ExpressionSample => ({
      name: `${op} of bool`,
      inputs: { x: { shape, dtype: "bool" }, y: { shape: [37], dtype: "bool" } },
      build: ({ x, y }) => scalar(op, [x!, y!]),
    }),
  ),
  { name: "not of bool", inputs: { x: { shape, dtype: "bool" } }, build: ({ x }) => x!.not() },
];

/** Values that every dtype holds, and what saturates or truncates. */
const castFill = (from: DType): Fill =>
  from === "bool"
    ? { kind: "integers", low: 0, high: 2 }
    : from === "u8" || from === "u32"
      ? { kind: "integers", low: 0, high: 200 }
      : from === "i32"
        ? { kind: "integers", low: 0, high: 120 }
        : { kind: "values", values: [0, 0.5, 1, 1.5, 2.75, 100.25, 3, 17, 0.001, 200] };
const all: readonly DType[] = ["f32", "f16", "bf16", "i32", "u32", "u8", "bool"];
const casts: readonly ExpressionSample[] = all.flatMap((from) =>
  all
    .filter((to) => to !== from)
    .map(
      (to): ExpressionSample => ({
        name: `cast ${from} to ${to}`,
        inputs: { x: input(castFill(from), from) },
        build: ({ x }) => x!.cast(to),
      }),
    ),
);
const saturating: readonly ExpressionSample[] = (["i32", "u32"] as const).map((to) => ({
  name: `cast f32 to ${to} truncates and saturates`,
  inputs: {
    x: input({
      kind: "values",
      values: [-1e10, -3.7, -0.5, 0.5, 3.7, 1e10, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    }),
  },
  gradients: [],
  build: ({ x }) => x!.cast(to),
}));

/** Storage in 16 bits, arithmetic in f32. */
const narrow: readonly ExpressionSample[] = (["f16", "bf16"] as const).flatMap((dtype): ExpressionSample[] => [
  { name: `${dtype} arithmetic`, inputs: { x: input(normal, dtype), y: input(positive, dtype) }, build: ({ x, y }) => x!.mul(y!).add(x!) },
  { name: `${dtype} comparison`, inputs: { x: input(halves, dtype), y: input(normal, dtype) }, build: ({ x, y }) => x!.lt(y!) },
  {
    name: `f32 to ${dtype} rounds to even, overflows, and keeps subnormals`,
    inputs: {
      x: input({
        kind: "values",
        values: [1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 65_519, 65_520, 1e-7, 6e-8, -2e-8, 3e38],
      }),
    },
    gradients: [],
    tolerance: dtype === "f16" ? { atol: 2 ** -25, rtol: 2 ** -11 } : { atol: 0, rtol: 2 ** -8 },
    build: ({ x }) => x!.cast(dtype).cast("f32").minimum(60_000),
  },
]);

const shaped = (name: string, x: SampleInput, y: SampleInput): ExpressionSample => ({
  name,
  inputs: { x, y },
  build: ({ x, y }) => x!.mul(y!).add(y!),
});
/** Broadcasting and layouts. */
const shapes: readonly ExpressionSample[] = [
  shaped("scalars", { shape: [] }, { shape: [] }),
  shaped("one element", { shape: [1] }, { shape: [1, 1] }),
  shaped("row on matrix", { shape: [13, 37] }, { shape: [37] }),
  shaped("column on matrix", { shape: [13, 37] }, { shape: [13, 1] }),
  shaped("row on column", { shape: [13, 1] }, { shape: [1, 37] }),
  shaped("four axes, repeated crosswise", { shape: [2, 1, 5, 1] }, { shape: [3, 1, 7] }),
  shaped("transposed and straight", { shape: [31, 17], layout: "transposed" }, { shape: [31, 17] }),
  shaped("sliced and repeated", { shape: [6, 15], layout: "sliced" }, { shape: [6, 15], layout: "expanded" }),
  shaped("empty", { shape: [0, 5] }, { shape: [5] }),
  shaped("a prime count", { shape: [1009] }, { shape: [1009] }),
  shaped("several blocks", { shape: [70, 257] }, { shape: [70, 1] }),
];

/** Chains: one program with constants, shared parts, casts within, and positions. */
const chains: readonly ExpressionSample[] = [
  {
    name: "gelu, a chain that reads its input three times",
    inputs: { x: input(normal) },
    build: ({ x }) => x!.mul(Math.SQRT1_2).erf().add(1).mul(x!).mul(0.5),
  },
  {
    name: "a mask from integers, in f32",
    inputs: { x: input(normal), ids: { shape, dtype: "i32" } },
    build: ({ x, ids }) => ids!.gt(0).and(ids!.lt(25)).where(x!, x!.mul(-0.25)).mul(ids!.cast("f32").mul(0.01)),
  },
  {
    name: "six leaves and more",
    inputs: Object.fromEntries(["a", "b", "c", "d", "e", "f", "g", "h"].map((name) => [name, input(normal)])),
    build: ({ a, b, c, d, e, f, g, h }) => a!.mul(b!).add(c!.mul(d!)).sub(e!.mul(f!)).add(g!.mul(h!)),
  },
  {
    name: "a chain longer than a program",
    inputs: { x: input({ kind: "uniform", low: -1, high: 1 }) },
    build: ({ x }) => Array.from({ length: 24 }).reduce<typeof x>((y) => y!.mul(0.9).add(x!).tanh(), x)!,
  },
];

/** Elementwise operations: every instruction, dtype, way to broadcast, and chains of them. */
export const pointwiseSamples: readonly ExpressionSample[] = [
  ...floats,
  ...specials,
  ...specialPairs,
  ...integers,
  ...bools,
  ...casts,
  ...saturating,
  ...narrow,
  ...shapes,
  ...chains,
];
