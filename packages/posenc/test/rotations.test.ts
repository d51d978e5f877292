import { arange, reference, setDefaultDevice, type Tensor, tensor } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { axialAxes, MultiAxisRotary, RotaryPositions, ropeFrequencies, sectionedAxes, XPosPositions } from "../src/index.ts";

expect.extend(tensorMatchers);
beforeAll(() => setDefaultDevice(reference()));

const wave = (...shape: number[]) =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * 1.7 + 0.3)),
    { shape },
  );
const ids = (data: readonly number[], ...shape: number[]) => tensor(Int32Array.from(data), { shape });

describe("several axes", () => {
  const frequencies = { headDim: 16, maxLength: 32 };

  test.each([false, true])("equal positions on all axes are one axis, interleaved %s", async (interleaved) => {
    const rotary = new MultiAxisRotary({ ...frequencies, pairsBy: sectionedAxes([2, 3, 3], { interleaved }) });
    const plain = new RotaryPositions(frequencies);
    const x = wave(2, 3, 5, 16);
    const row = [4, 5, 6, 9, 31];
    expect(await rotary.forward(x, ids([...row, ...row, ...row], 3, 5)).data()).toEqual(await plain.forward(x, ids(row, 5)).data());
  });

  test("each pair goes by its own axis, rows of a batch by theirs", async () => {
    const rotary = new MultiAxisRotary({ ...frequencies, pairsBy: sectionedAxes([2, 3, 3]) });
    const plain = new RotaryPositions(frequencies);
    const x = wave(2, 1, 2, 16);
    const positions = [
      [0, 1, 7, 8],
      [3, 3, 9, 2],
      [5, 6, 1, 0],
    ];
    const y = await rotary.forward(x, ids(positions.flat(), 3, 2, 2)).data();
    const by = await Promise.all(positions.map((row) => plain.forward(x, ids(row, 2, 2)).data()));
    const axes = [0, 0, 1, 1, 1, 2, 2, 2];
    for (let i = 0; i < y.length; i++) expect(y[i]).toBe(by[axes[i % 8]!]![i]);
  });

  test("Qwen3-VL deals pairs by turns, as far as a section reaches", () => {
    expect(sectionedAxes([4, 2, 2], { interleaved: true }).axes).toEqual([0, 1, 2, 0, 1, 2, 0, 0]);
  });

  test("an axial rotation restarts the frequencies on each axis", () => {
    const { axes, frequencies: each } = axialAxes([4, 4], [100, 10_000]);
    expect(axes).toEqual([0, 0, 1, 1]);
    expect([...each]).toEqual([1, 0.1, 1, 0.01]);
  });

  test("refuses positions and pairs that do not fit", () => {
    const rotary = new MultiAxisRotary({ ...frequencies, pairsBy: axialAxes([8, 8]) });
    expect(() => rotary.forward(wave(1, 1, 3, 16), ids([0, 1, 2], 1, 3))).toThrow("positions must be [2, 3] or [2, 1, 3]");
    expect(() => new MultiAxisRotary({ headDim: 8, maxLength: 4, pairsBy: axialAxes([8, 8]) })).toThrow("8 pairs do not fit headDim 8");
    expect(() => axialAxes([5, 8])).toThrow("must be even");
  });
});

describe("xPos", () => {
  const [headDim, length] = [8, 6];
  const score = async (rotary: XPosPositions, q: Tensor, k: Tensor, at: Tensor) =>
    rotary.forward(q, at).matmul(rotary.forwardKeys(k, at).transpose()).data();

  test("scores are those of torchscale, which centres each sequence", async () => {
    const [q, k] = [wave(1, 1, length, headDim), wave(1, 1, length, headDim).mul(0.7).add(0.2)];
    const [a, b] = [await q.data(), await k.data()];
    // Sun et al. 2023, torchscale/component/xpos_relative_position.py: rotate_every_two, scale ** (position / 512) with positions from -floor(length / 2) on.
    const turned = (x: ArrayLike<number>, row: number, sign: number) =>
      Array.from({ length: headDim }, (_, i) => {
        const pair = i >> 1;
        const angle = row * 10_000 ** (-pair / (headDim / 2));
        const scale = ((2 * pair + 0.4 * headDim) / (1.4 * headDim)) ** ((sign * (row - Math.floor(length / 2))) / 512);
        const other = i % 2 === 0 ? -x[row * headDim + i + 1]! : x[row * headDim + i - 1]!;
        return (x[row * headDim + i]! * Math.cos(angle) + other * Math.sin(angle)) * scale;
      });
    const expected = Array.from({ length: length * length }, (_, at) => {
      const [i, j] = [Math.floor(at / length), at % length];
      const [left, right] = [turned(a, i, 1), turned(b, j, -1)];
      return left.reduce((sum, value, d) => sum + value * right[d]!, 0);
    });
    const y = await score(new XPosPositions({ headDim, maxLength: 512 }), q, k, arange(length));
    for (const [i, value] of expected.entries()) expect(Math.abs(y[i]! - value)).toBeLessThan(2e-6);
  });

  test("depend on the distance alone, and fall with it", async () => {
    const rotary = new XPosPositions({ headDim, maxLength: 1024, scaleBase: 64 });
    const [q, k] = [wave(1, 1, 2, headDim), wave(1, 1, 2, headDim)];
    const near = await score(rotary, q, k, ids([3, 40], 2));
    const far = await score(rotary, q, k, ids([903, 940], 2));
    for (let i = 0; i < 4; i++) expect(Math.abs(near[i]! - far[i]!)).toBeLessThan(1e-4);
    // Of a vector with itself at a distance: no more than the slowest decay allows.
    const one = tensor(new Float32Array(headDim).fill(1), { shape: [1, 1, 1, headDim] });
    const at = async (p: number) =>
      (
        await rotary
          .forward(one, ids([p], 1))
          .matmul(rotary.forwardKeys(one, ids([0], 1)).transpose())
          .data()
      )[0]!;
    expect(await at(256)).toBeLessThan(headDim * ((0.4 * headDim + headDim - 2) / (1.4 * headDim)) ** (256 / 64));
  });
});

describe("LongRoPE", () => {
  const scaling = {
    type: "longrope",
    shortFactors: [1, 1, 2, 4],
    longFactors: [1, 4, 16, 64],
    originalMaxLength: 4096,
    factor: 32,
  } as const;

  test("one list of factors up to the original length, another beyond, and one temperature", () => {
    const [short, long] = [ropeFrequencies(8, 10_000, scaling, 4096), ropeFrequencies(8, 10_000, scaling, 4097)];
    const plain = [1, 0.1, 0.01, 0.001];
    for (const [i, f] of plain.entries()) {
      expect(short.frequencies[i]).toBeCloseTo(f / scaling.shortFactors[i]!, 12);
      expect(long.frequencies[i]).toBeCloseTo(f / scaling.longFactors[i]!, 12);
    }
    for (const { attentionFactor } of [short, long]) expect(attentionFactor).toBeCloseTo(1.190238, 6);
  });

  test("the tables change where a sequence passes the original length, and change back", async () => {
    const options = { headDim: 8, maxLength: 64, scaling: { ...scaling, originalMaxLength: 16, attentionFactor: 1 } };
    const rotary = new RotaryPositions(options);
    const x = wave(1, 1, 4, 8);
    const plain = (divide: readonly number[]) =>
      new MultiAxisRotary({
        headDim: 8,
        maxLength: 64,
        pairsBy: { axes: [0, 0, 0, 0], frequencies: Float64Array.from([1, 0.1, 0.01, 0.001], (f, i) => f / divide[i]!) },
      }).forward(x, arange(4).reshape([1, 4]));
    for (const [total, factors] of [
      [16, scaling.shortFactors],
      [17, scaling.longFactors],
      [9, scaling.shortFactors],
    ] as const)
      await expect(rotary.forward(x, arange(4), total)).toBeCloseToTensor(plain(factors), { atol: 1e-6 });
  });

  test("refuses lists of another length", () => {
    expect(() => ropeFrequencies(6, 10_000, scaling, 1)).toThrow("shortFactors must be 3, one for each pair, got 4");
  });
});
