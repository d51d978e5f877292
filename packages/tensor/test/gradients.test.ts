import { gradcheck } from "@x/testing";
import { describe, expect, test } from "vitest";
import { type Fill, fft, gather, type SampleInput, type ScalarName, scatterAdd, type Tensor } from "../src/index.ts";
import { instructions } from "../src/instructions.ts";
import { scalar } from "../src/pointwise.ts";

// Central differences in f64: gradients and gradients of gradients.
type Inputs = Readonly<Record<string, SampleInput>>;
type Body = (inputs: Readonly<Record<string, Tensor>>) => Tensor | readonly Tensor[];
const twice = (name: string, inputs: Inputs, body: Body, order: 1 | 2 = 2) =>
  test(name, () => gradcheck(body, inputs, { order, atol: 2e-6, rtol: 2e-5 }));

const shape = [2, 3];
const away: Fill = { kind: "values", values: [-1.7, -0.6, 0.4, 1.3, 2.1, -2.4] };
const positive: Fill = { kind: "uniform", low: 0.4, high: 2.5 };
const of = (fill: Fill, at: readonly number[] = shape): SampleInput => ({ shape: at, fill });

describe("scalar instructions", () => {
  const one: Partial<Record<ScalarName, Fill>> = {
    neg: away,
    abs: away,
    sqrt: positive,
    rsqrt: positive,
    exp: away,
    expm1: away,
    log: positive,
    log1p: positive,
    sin: away,
    cos: away,
    tanh: away,
    erf: away,
    sigmoid: away,
    sign: away,
    floor: away,
    ceil: away,
    round: away,
  };
  const two: Partial<Record<ScalarName, [Fill, Fill]>> = {
    add: [away, away],
    sub: [away, positive],
    mul: [away, away],
    div: [away, positive],
    mod: [
      { kind: "values", values: [2.3, 4.4, 1.2, 5.3] },
      { kind: "values", values: [1, 1.5, 0.9] },
    ],
    min: [away, positive],
    max: [away, positive],
    pow: [positive, away],
  };
  for (const [op, fill] of Object.entries(one)) twice(op, { x: of(fill) }, ({ x }) => scalar(op as ScalarName, [x!]));
  for (const [op, [a, b]] of Object.entries(two)) twice(op, { x: of(a), y: of(b) }, ({ x, y }) => scalar(op as ScalarName, [x!, y!]));
  twice("select", { test: { shape, dtype: "bool" }, x: of(away), y: of(positive) }, ({ test, x, y }) => test!.where(x!.square(), y!.exp()));
  twice("cast", { x: of(away) }, ({ x }) => x!.square().cast("f64").mul(x!));

  test("no instruction with a derivative is left out", () => {
    const differentiable = Object.entries(instructions)
      .filter(([, rule]) => rule.grads.some((grad) => grad !== undefined))
      .map(([name]) => name);
    expect(differentiable.filter((name) => !(name in one) && !(name in two) && !["select", "cast"].includes(name))).toEqual([]);
  });
});

describe("broadcasting sums gradients over repeated axes", () => {
  const pairs: [number[], number[]][] = [
    [[2, 3], [3]],
    [
      [2, 3],
      [2, 1],
    ],
    [
      [2, 1],
      [1, 3],
    ],
    [[], [2, 2]],
    [[1, 1], [2]],
    [
      [2, 1, 2],
      [3, 1],
    ],
  ];
  for (const [a, b] of pairs) twice(`[${a}] and [${b}]`, { x: of(away, a), y: of(positive, b) }, ({ x, y }) => x!.mul(y!).tanh());
  twice("one tensor used in two shapes", { x: of(away, [3]) }, ({ x }) => x!.unsqueeze(0).mul(x!.unsqueeze(1)).exp());
});

describe("reductions", () => {
  const x = of(away, [2, 3, 2]);
  twice("sum", { x }, ({ x }) => x!.sum([0, 2]).square());
  twice("sum, kept", { x }, ({ x }) => x!.sum(-1, { keepDims: true }).square());
  twice("prod", { x }, ({ x }) => x!.prod(1));
  twice("prod over two axes", { x }, ({ x }) => x!.prod([0, 2], { keepDims: true }));
  twice("prod with zeros", { x: of({ kind: "values", values: [0, 2, 3, 1, 0, 0] }) }, ({ x }) => x!.prod(1));
  const distinct = of({ kind: "values", values: [0.3, -1, 2, 0.9, 1.7, -0.4] });
  twice("max", { x: distinct }, ({ x }) => x!.max(1).square());
  twice("min over everything", { x: distinct }, ({ x }) => x!.min().square());
  twice("mean", { x }, ({ x }) => x!.mean([1]).exp());
});

describe("running results and sorting", () => {
  const x = of(away, [2, 4]);
  for (const options of [{}, { reverse: true }, { exclusive: true }, { reverse: true, exclusive: true }]) {
    twice(`cumsum ${JSON.stringify(options)}`, { x }, ({ x }) => x!.cumsum(1, options).square());
    twice(`cumprod ${JSON.stringify(options)}`, { x }, ({ x }) => x!.cumprod(-1, options));
    twice(`cumprod along the first axis ${JSON.stringify(options)}`, { x: of(away, [3, 2]) }, ({ x }) => x!.cumprod(0, options));
  }
  twice("cumprod with zeros", { x: of({ kind: "values", values: [2, 0, 3, 0.5, 0, 0, 1, 4] }, [2, 4]) }, ({ x }) => x!.cumprod(1));
  twice("cummax", { x: of({ kind: "values", values: [0.1, 0.7, 0.2, 1.4, 3, 1, 4, 2] }, [2, 4]) }, ({ x }) => x!.cummax(1).square());
  twice("cummax along the first axis", { x: of({ kind: "values", values: [0.1, 0.7, 0.2, 1.4, 3, 1] }, [3, 2]) }, ({ x }) =>
    x!.cummax(0).square(),
  );
  const distinct = of({ kind: "values", values: [0.3, -1, 2, 0.9, 1.7, -0.4, 3.3, 0.1] }, [2, 4]);
  twice("sort", { x: distinct }, ({ x }) => x!.sort().values.mul(x!));
  twice("sort, descending", { x: distinct }, ({ x }) => x!.sort({ descending: true }).values.square());
  twice("topK", { x: distinct }, ({ x }) => x!.topK(2).values.square());
});

describe("movement", () => {
  const x = of(away, [2, 3]);
  twice("reshape, permute, expand, slice, flip", { x }, ({ x }) =>
    x!.reshape([3, 2]).permute([1, 0]).unsqueeze(1).expand([2, 2, 3]).slice(2, 0, 3, 2).flip(0).square(),
  );
  twice("concat", { x, y: of(positive, [2, 2]) }, ({ x, y }) => x!.concatWith(y!, 1).exp());
  twice("the same tensor twice in a concat", { x }, ({ x }) => x!.concatWith(x!, 0).square());
  twice("pad", { x }, ({ x }) =>
    x!
      .pad(
        [
          [1, 0],
          [0, 2],
        ],
        3,
      )
      .square(),
  );
  twice("copy", { x }, ({ x }) => x!.copy().square());
  twice("split", { x }, ({ x }) => x!.split(1, [1, 2]).map((part) => part.square()));
  const indices: SampleInput = { shape: [2, 2], dtype: "i32", fill: { kind: "values", values: [0, 2, 2, 1] } };
  twice("take, an index twice", { x: of(away, [3, 2]), i: indices }, ({ x, i }) => x!.take(i!, 0).square());
  twice("putAdd", { x: of(away, [2, 2, 2]), i: indices }, ({ x, i }) => x!.putAdd(i!, 0, 3).square());
  twice("gather", { x, i: indices }, ({ x, i }) => gather({ x: x!, indices: i! }, { axis: 1 }).square());
  twice("scatterAdd", { x: of(away, [2, 2]), i: indices }, ({ x, i }) =>
    scatterAdd({ x: x!, indices: i! }, { axis: 1, extent: 4 }).square(),
  );
});

describe("products", () => {
  twice("matmul", { a: of(away, [2, 3]), b: of(positive, [3, 2]) }, ({ a, b }) => a!.matmul(b!));
  twice("matmul with a repeated batch", { a: of(away, [2, 1, 2, 2]), b: of(positive, [3, 2, 1]) }, ({ a, b }) => a!.matmul(b!).tanh());
  twice("fft", { re: of(away, [2, 3]), im: of(positive, [2, 3]) }, ({ re, im }) =>
    Object.values(fft({ re: re!, im: im! })).map((part) => part.square()),
  );
  twice("fft, one part used, inverse", { re: of(away, [4]), im: of(positive, [4]) }, ({ re, im }) =>
    fft({ re: re!, im: im! }, { inverse: true }).re.square(),
  );
});
