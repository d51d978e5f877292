import { describe, expect, test } from "vitest";
import {
  argmax,
  argmin,
  concat,
  convolution,
  embed,
  fft,
  gather,
  type Nested,
  philox,
  putAdd,
  reference,
  scatterAdd,
  take,
  tensor,
} from "../src/index.ts";

// Small cases worked out by hand: the reference device itself is on trial here, which every other device is compared with.
const device = reference();
const t = (data: Nested, dtype?: "f32" | "i32" | "f16" | "u8") => tensor(data, { device, dtype });
const [nan, inf] = [Number.NaN, Number.POSITIVE_INFINITY];

describe("arithmetic", () => {
  test.each([
    ["add", [1, 2], [3, 5], [4, 7]],
    ["sub", [1, 2], [3, 5], [-2, -3]],
    ["mul", [2, -3], [4, 5], [8, -15]],
    ["div", [1, -3], [4, 2], [0.25, -1.5]],
    ["mod", [5.5, -5.5], [2, 2], [1.5, -1.5]],
    ["pow", [2, -2], [3, 2], [8, 4]],
    ["minimum", [1, nan], [2, 1], [1, nan]],
    ["maximum", [1, 3], [2, nan], [2, nan]],
  ] as const)("%s", async (op, a, b, expected) =>
    expect([
      ...(await t([...a])
        [op](t([...b]))
        .data()),
    ]).toEqual(expected),
  );

  test.each([
    ["neg", [1, -2], [-1, 2]],
    ["abs", [-1.5, 2], [1.5, 2]],
    ["sign", [-3, 0, 2], [-1, 0, 1]],
    ["floor", [-1.5, 1.5], [-2, 1]],
    ["ceil", [-1.5, 1.5], [-1, 2]],
    ["round", [0.5, 1.5, 2.5, -0.5, -1.5, 2.4], [0, 2, 2, -0, -2, 2]],
    ["trunc", [-1.7, 1.7], [-1, 1]],
    ["sqrt", [4, 2.25], [2, 1.5]],
    ["rsqrt", [4, 0.25], [0.5, 2]],
    ["square", [3, -2], [9, 4]],
    ["exp", [0, -inf], [1, 0]],
    ["log", [1, 0], [0, -inf]],
    ["sigmoid", [0, inf, -inf], [0.5, 1, 0]],
    ["tanh", [0, inf], [0, 1]],
  ] as const)("%s", async (op, x, expected) =>
    expect([
      ...(await t([...x])
        [op]()
        .data()),
    ]).toEqual(expected),
  );

  test("transcendental functions to the last digits of f64", async () => {
    const x = tensor([0.3, -1.2, 2.7], { dtype: "f64", device });
    const close = async (made: Promise<ArrayLike<number>>, expected: number[]) => {
      for (const [i, value] of Array.from(await made).entries()) expect(value).toBeCloseTo(expected[i]!, 14);
    };
    await close(x.exp().data(), [1.3498588075760032, 0.30119421191220214, 14.879731724872837]);
    await close(x.expm1().data(), [0.3498588075760031, -0.6988057880877979, 13.879731724872837]);
    await close(x.sin().data(), [0.29552020666133955, -0.9320390859672263, 0.4273798802338298]);
    await close(x.cos().data(), [0.955336489125606, 0.3623577544766736, -0.9040721420170612]);
    await close(x.tanh().data(), [0.2913126124515909, -0.8336546070121552, 0.9910074536781176]);
    await close(x.erf().data(), [0.32862675945912745, -0.9103139782296353, 0.9998656672600594]);
    await close(x.abs().log1p().data(), [0.26236426446749106, 0.7884573603642703, 1.308332819650179]);
  });

  test("i32 wraps, truncates and shifts; division by zero is 0", async () => {
    const a = t([2147483647, -7, 7, -7], "i32");
    expect([...(await a.add(1).data())]).toEqual([-2147483648, -6, 8, -6]);
    expect([...(await a.mul(3).data())]).toEqual([2147483645, -21, 21, -21]);
    expect([...(await a.div(2).data())]).toEqual([1073741823, -3, 3, -3]);
    expect([...(await a.mod(4).data())]).toEqual([3, -3, 3, -3]);
    expect([...(await a.div(0).data())]).toEqual([0, 0, 0, 0]);
  });

  test("comparisons, logic and choice", async () => {
    const [a, b] = [t([1, 2, nan]), t([2, 2, nan])];
    expect(await Promise.all((["eq", "ne", "lt", "le", "gt", "ge"] as const).map(async (op) => [...(await a[op](b).data())]))).toEqual([
      [0, 1, 0],
      [1, 0, 1],
      [1, 0, 0],
      [1, 1, 0],
      [0, 0, 0],
      [0, 1, 0],
    ]);
    expect(await a.lt(b).not().array()).toEqual([0, 1, 1]);
    expect(await a.lt(b).where(a, 9).array()).toEqual([1, 9, 9]);
    expect(await a.lt(b).where(7, b).array()).toEqual([7, 2, nan]);
    expect([...(await t([1, -0]).bits().data())]).toEqual([0x3f800000, 0x80000000]);
    expect(
      await t([
        [0, 1],
        [0, 0],
      ])
        .any(1)
        .array(),
    ).toEqual([1, 0]);
    expect(
      await t([
        [0, 1],
        [1, 1],
      ])
        .all(1)
        .array(),
    ).toEqual([0, 1]);
  });
});

describe("reductions", () => {
  const x = t([
    [1, -2, 3],
    [4, 5, -6],
  ]);
  test("sum, prod, max, min, mean over axes, kept or dropped", async () => {
    expect(await x.sum().item()).toBe(5);
    expect(await x.sum(0).array()).toEqual([5, 3, -3]);
    expect(await x.sum(-1, { keepDims: true }).array()).toEqual([[2], [3]]);
    expect(await x.prod(1).array()).toEqual([-6, -120]);
    expect(await x.max(0).array()).toEqual([4, 5, 3]);
    expect(await x.min(1).array()).toEqual([-2, -6]);
    expect(await x.mean(1).array()).toEqual([Math.fround(2 / 3), 1]);
    expect(
      await t([[1, nan]])
        .max(1)
        .array(),
    ).toEqual([nan]);
  });
  test("sums of half precision are taken in f32", async () => {
    // 2049 is no f16: summed step by step in f16 the ones would be lost.
    expect(await tensor([2048, 1, 1, 1, 1], { dtype: "f16", device }).sum().item()).toBe(2052);
  });
  test("argmax and argmin give the first of equals, and NaN wins", async () => {
    expect(
      await argmax(
        {
          x: t([
            [1, 3, 3],
            [nan, 5, 6],
          ]),
        },
        { axis: 1 },
      ).array(),
    ).toEqual([1, 0]);
    expect(
      await argmin(
        {
          x: t([
            [1, 1],
            [0, 2],
          ]),
        },
        { axis: 0, keepDims: true },
      ).array(),
    ).toEqual([[1, 0]]);
  });
});

describe("running results and sorting", () => {
  test("cumsum, cumprod, cummax", async () => {
    const x = t([
      [1, 2, 3],
      [4, 0, -1],
    ]);
    expect(await x.cumsum(1).array()).toEqual([
      [1, 3, 6],
      [4, 4, 3],
    ]);
    expect(await x.cumsum(1, { exclusive: true, reverse: true }).array()).toEqual([
      [5, 3, 0],
      [-1, -1, 0],
    ]);
    expect(await x.cumsum(0).array()).toEqual([
      [1, 2, 3],
      [5, 2, 2],
    ]);
    expect(await x.cumprod(1).array()).toEqual([
      [1, 2, 6],
      [4, 0, -0],
    ]);
    expect(await x.cumprod(1, { exclusive: true }).array()).toEqual([
      [1, 1, 2],
      [1, 4, 0],
    ]);
    expect(await x.cummax(1).array()).toEqual([
      [1, 2, 3],
      [4, 4, 4],
    ]);
  });
  test("sort is stable with NaN last, topK takes the first of equals", async () => {
    const x = t([[2, nan, 1, 2]]);
    const up = x.sort();
    expect([await up.values.array(), await up.indices.array()]).toEqual([[[1, 2, 2, nan]], [[2, 0, 3, 1]]]);
    const down = x.sort({ descending: true });
    expect([await down.values.array(), await down.indices.array()]).toEqual([[[2, 2, 1, nan]], [[0, 3, 2, 1]]]);
    const top = t([[5, 7, 7, 1]]).topK(2);
    expect([await top.values.array(), await top.indices.array()]).toEqual([[[7, 7]], [[1, 2]]]);
  });
});

describe("gathers and scatters", () => {
  const x = t([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  test("take clamps, and puts the indices' axes in the axis' place", async () => {
    expect(
      await take({
        x,
        indices: t(
          [
            [2, -1],
            [9, 1],
          ],
          "i32",
        ),
      }).array(),
    ).toEqual([
      [
        [5, 6],
        [1, 2],
      ],
      [
        [5, 6],
        [3, 4],
      ],
    ]);
    expect(await take({ x, indices: t([1], "i32") }, { axis: 1 }).array()).toEqual([[2], [4], [6]]);
  });
  test("putAdd, gather and scatterAdd", async () => {
    expect(await putAdd({ x, indices: t([1, 1, 0], "i32") }, { extent: 3 }).array()).toEqual([
      [5, 6],
      [4, 6],
      [0, 0],
    ]);
    expect(await gather({ x, indices: t([[1], [0], [1]], "i32") }, { axis: 1 }).array()).toEqual([[2], [3], [6]]);
    expect(
      await scatterAdd(
        {
          x,
          indices: t(
            [
              [0, 0],
              [1, 0],
              [1, 1],
            ],
            "i32",
          ),
        },
        { axis: 1, extent: 3 },
      ).array(),
    ).toEqual([
      [3, 0, 0],
      [4, 3, 0],
      [0, 11, 0],
    ]);
  });
});

describe("assembly", () => {
  test("concat, pad and embed", async () => {
    expect(
      await concat(
        {
          xs: [
            t([[1], [2]]),
            t([
              [3, 4],
              [5, 6],
            ]),
          ],
        },
        { axis: 1 },
      ).array(),
    ).toEqual([
      [1, 3, 4],
      [2, 5, 6],
    ]);
    expect(
      await t([[1, 2]])
        .pad(
          [
            [1, 0],
            [0, 1],
          ],
          9,
        )
        .array(),
    ).toEqual([
      [9, 9, 9],
      [1, 2, 9],
    ]);
    expect(await embed({ x: t([1, 2]) }, { shape: [6], offsets: [1], steps: [3] }).array()).toEqual([0, 1, 0, 0, 2, 0]);
  });
});

describe("products", () => {
  test("matmul, with batches that broadcast", async () => {
    expect(
      await t([
        [1, 2],
        [3, 4],
      ])
        .matmul(t([[5], [6]]))
        .array(),
    ).toEqual([[17], [39]]);
    expect(
      await t([[[1, 0]], [[0, 1]]])
        .matmul(
          t([
            [2, 3],
            [4, 5],
          ]),
        )
        .array(),
    ).toEqual([[[2, 3]], [[4, 5]]]);
  });
  test("convolution: cross-correlation with stride, padding, dilation, groups", async () => {
    const x = t([[[1, 2, 3, 4]]]);
    const weight = t([[[1, 10]]]);
    expect(await convolution({ x, weight }).array()).toEqual([[[21, 32, 43]]]);
    expect(await convolution({ x, weight }, { stride: [2], padding: [[1, 0]] }).array()).toEqual([[[10, 32]]]);
    expect(await convolution({ x, weight }, { dilation: [2] }).array()).toEqual([[[31, 42]]]);
    expect(await convolution({ x, weight }, { inputDilation: [2] }).array()).toEqual([[[1, 20, 2, 30, 3, 40]]]);
    const two = t([
      [
        [1, 2],
        [3, 4],
      ],
    ]);
    expect(await convolution({ x: two, weight: t([[[1]], [[10]]]) }, { groups: 2 }).array()).toEqual([
      [
        [1, 2],
        [30, 40],
      ],
    ]);
  });
  test("fft of an impulse and of a constant", async () => {
    const zero = t([0, 0, 0, 0]);
    const impulse = fft({ re: t([0, 1, 0, 0]), im: zero });
    expect(((await impulse.re.array()) as number[]).map((v) => Math.round(v) + 0)).toEqual([1, 0, -1, 0]);
    expect(((await impulse.im.array()) as number[]).map((v) => Math.round(v) + 0)).toEqual([0, -1, 0, 1]);
    expect(
      await fft({ re: t([1, 1, 1]), im: t([0, 0, 0]) })
        .re.item()
        .catch(() => "three"),
    ).toBe("three");
    const back = fft(
      fft({ re: tensor([1, 2, 3, 4, 5], { dtype: "f64", device }), im: tensor([0, 1, 0, 1, 0], { dtype: "f64", device }) }),
      { inverse: true },
    );
    for (const [i, value] of (await back.re.data()).entries()) expect(value / 5).toBeCloseTo(i + 1, 12);
  });
});

test("Philox4x32-10 gives the known answers of Random123", () => {
  const ones = 0xffffffff;
  expect(philox([0, 0, 0, 0], 0, 0)).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  expect(philox([ones, ones, ones, ones], ones, ones)).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  expect(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], 0xa4093822, 0x299f31d0)).toEqual([
    0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
  ]);
});
