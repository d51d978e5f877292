import { beforeEach, describe, expect, test } from "vitest";
import {
  arange,
  concat,
  convolution,
  type Device,
  defaultDevice,
  embed,
  fft,
  full,
  gather,
  matmul,
  putAdd,
  reference,
  scatterAdd,
  setDefaultDevice,
  Tensor,
  TensorError,
  take,
  tensor,
  topK,
} from "../src/index.ts";

let device: Device;
beforeEach(() => {
  device = reference();
  setDefaultDevice(device);
});
const f = (...shape: number[]) => full(shape, 1).copy();
const i = (...shape: number[]) => full(shape, 0, { dtype: "i32" }).copy();
const bool = (...shape: number[]) => full(shape, 1, { dtype: "bool" }).copy();

// Every text names the operation, the argument, what was expected and what came.
const cases: [string, () => unknown, RegExp][] = [
  ["shapes that do not broadcast", () => f(2, 3).add(f(2)), /add: shapes \[2, 3\] and \[2\] do not broadcast: extents 3 and 2 differ/],
  ["mixed dtypes", () => f(2).add(i(2)), /add: argument 0 is f32, expected i32. Nothing is promoted: write .cast\("i32"\)/],
  ["a condition that is no bool", () => f(2).where(f(2), 0), /select: argument 0 is f32, expected bool/],
  ["exp of integers", () => i(2).exp(), /exp: takes floating point, got i32. Write .cast/],
  ["sums of bools", () => bool(2).sum(), /sum: takes numbers, got bool. Write .cast\("i32"\) first/],
  ["arithmetic on bools", () => bool(2).add(bool(2)), /add: takes numbers, got bool/],
  ["logic on floats", () => f(2).and(f(2)), /and: takes bool or integers, got f32/],
  ["an axis beyond the rank", () => f(2, 3).sum(2), /sum: axis must be an integer from -2 to 1 for a tensor of 2 axes, got 2/],
  ["an axis twice", () => f(2, 3).sum([0, -2]), /sum: axes must be distinct/],
  ["the largest of nothing", () => f(2, 0).max(1), /max: axis of extent 0 in \[2, 0\] has no max/],
  ["a reshape of another size", () => f(2, 3).reshape([4]), /reshape: \[2, 3\] has 6 elements, \[4\] would have 4/],
  ["a reshape that cannot be guessed", () => f(0, 3).reshape([-1, 0]), /reshape: -1 in \[-1, 0\] could be anything/],
  ["two unknown extents", () => f(2, 3).reshape([-1, -1]), /reshape: /],
  [
    "a permutation that leaves an axis out",
    () => f(2, 3).permute([0, 0]),
    /permute: order must name each of the 2 axes once, got \[0, 0\]/,
  ],
  ["an expansion of what is not 1", () => f(2).expand([3]), /expand: \[2\] does not broadcast to \[3\]/],
  [
    "a slice out of range",
    () => f(2, 3).slice(1, 1, 4),
    /slice: needs 0 <= start <= end <= 3 and step >= 1 along axis 1 of \[2, 3\], got start 1, end 4, step 1/,
  ],
  ["a squeeze of what is not 1", () => f(2, 3).squeeze(1), /squeeze: axis 1 of \[2, 3\] has extent 3, not 1/],
  ["a split that does not add up", () => f(5).split(0, 2), /split: parts \[2.5, 2.5\] do not make up the 5 elements of axis 0/],
  ["a pad with too few pairs", () => f(2, 3).pad([[1, 1]]), /pad: needs a pair for each axis of \[2, 3\], got 1/],
  [
    "a product of vectors",
    () => matmul({ a: f(3), b: f(3, 2) }),
    /matmul: both need at least two axes, got \[3\] and \[3, 2\]. Reshape a vector/,
  ],
  [
    "a product that does not fit",
    () => f(2, 3).matmul(f(2, 3)),
    /matmul: a \[2, 3\] has 3 columns, b \[2, 3\] has 2 rows. Transpose one\?/,
  ],
  ["a product of mixed dtypes", () => f(2, 2).matmul(f(2, 2).cast("f16")), /matmul: a is f32, b is f16. Nothing is promoted/],
  ["a product of integers", () => i(2, 2).matmul(i(2, 2)), /matmul: takes floating point, got i32/],
  ["batches that do not fit", () => f(2, 2, 2).matmul(f(3, 2, 2)), /matmul: leading axes: shapes \[2\] and \[3\] do not broadcast/],
  ["nothing to concat", () => concat({ xs: [] }, { axis: 0 }), /concat: needs at least one tensor/],
  [
    "a concat of unlike shapes",
    () => f(2, 3).concatWith(f(3, 3), 1),
    /concat: tensor 1 has shape \[3, 3\], which differs from \[2, 3\] beyond axis 1/,
  ],
  ["a concat of unlike dtypes", () => f(2).concatWith(i(2), 0), /concat: tensor 1 is i32, tensor 0 f32/],
  ["float indices", () => take({ x: f(3), indices: f(2) }), /take: indices must be i32, got f32/],
  ["taking from nothing", () => take({ x: f(0, 2), indices: i(2) }), /take: axis 0 of \[0, 2\] is empty/],
  [
    "gather of unlike shapes",
    () => gather({ x: f(2, 3), indices: i(3, 3) }, { axis: 1 }),
    /gather: indices \[3, 3\] must agree with \[2, 3\] on every axis but 1/,
  ],
  [
    "scatterAdd of unlike shapes",
    () => scatterAdd({ x: f(2, 3), indices: i(2, 2) }, { axis: 1, extent: 4 }),
    /scatterAdd: x \[2, 3\] and indices \[2, 2\] must have one shape/,
  ],
  [
    "putAdd of unlike shapes",
    () => putAdd({ x: f(2, 3), indices: i(3) }, { extent: 4 }),
    /putAdd: x \[2, 3\] must have the shape of indices \[3\] from axis 0 on/,
  ],
  [
    "an embedding that does not fit",
    () => embed({ x: f(3) }, { shape: [5], offsets: [1], steps: [2] }),
    /embed: axis 0: 3 elements from 1 by 2 do not fit into 5/,
  ],
  ["more than there is", () => topK({ x: f(2, 3) }, { k: 4 }), /topK: k must be from 0 to 3 for \[2, 3\], got 4/],
  ["a transform of unlike parts", () => fft({ re: f(4), im: f(3) }), /fft: re \[4\] and im \[3\] must have one shape/],
  [
    "a convolution of unlike channels",
    () => convolution({ x: f(1, 4, 8), weight: f(2, 3, 3) }),
    /convolution: weight must be \[outputs, 4\/1, ...\].*got \[2, 3, 3\]/,
  ],
  [
    "a convolution without space",
    () => convolution({ x: f(1, 4), weight: f(2, 4) }),
    /convolution: x must be \[batch, channels, ...space\]/,
  ],
  ["an unknown input", () => matmul({ a: f(2, 2), b: f(2, 2), c: f(1) } as never), /matmul: has no input "c"; its inputs are a, b/],
  ["a missing input", () => matmul({ a: f(2, 2) } as never), /matmul: b: expected a tensor or a cell, got undefined/],
  ["something else as input", () => matmul({ a: f(2, 2), b: [1] } as never), /matmul: b: expected a tensor or a cell, got object/],
  [
    "an unknown attribute",
    () => take({ x: f(2), indices: i(1) }, { axes: 0 } as never),
    /take: has no attribute "axes"; its attributes are axis/,
  ],
  ["a missing attribute", () => gather({ x: f(2), indices: i(2) }, {} as never), /gather: attribute "axis" is required/],
  ["host data of another size", () => tensor([1, 2, 3], { shape: [2] }), /tensor: shape \[2\] holds 2 elements, got 3/],
  ["ragged nested arrays", () => tensor([[1], [2, 3]]), /tensor: nested arrays are ragged: entry 0 has shape \[1\], entry 1 \[2\]/],
  ["a negative extent", () => full([2, -1], 0), /full: extents must be non-negative integers, got \[2, -1\]/],
  ["half an extent", () => arange(2.5), /arange: extents must be non-negative integers/],
];

describe("errors say who, what was expected, what came", () => {
  test.each(cases)("%s", (_, run, text) => {
    let error: unknown;
    try {
      run();
    } catch (caught) {
      error = caught;
    }
    expect(TensorError.isInstance(error)).toBe(true);
    expect((error as Error).message).toMatch(text);
  });

  test("an operation that was refused leaves nothing behind", () => {
    const [a, b] = [f(2, 3), f(2)];
    const before = device.memory().buffers;
    expect(() => a.matmul(b)).toThrow();
    expect(() => a.add(b)).toThrow();
    expect(device.memory().buffers).toBe(before);
  });
});

test("reading one element of many, and devices that differ or are not there", async () => {
  await expect(f(2).item()).rejects.toThrow(/item: the tensor must have one element, it has shape \[2\]/);
  const other = reference();
  expect(() =>
    f(2, 2).matmul(
      tensor(
        [
          [1, 2],
          [3, 4],
        ],
        { device: other },
      ),
    ),
  ).toThrow(/matmul: a is on device reference, b on reference. Move one with .to\(device\)/);
  expect(() => f(2).add(tensor([1, 2], { device: other }))).toThrow(/add: arguments lie on devices/);
  const moved = await f(2).to(other);
  expect(moved.device).toBe(other);
  setDefaultDevice(undefined);
  expect(() => defaultDevice("a layer")).toThrow(/a layer: no device. Set one once with setDefaultDevice/);
  expect(() => tensor([1])).toThrow(/tensor: no device/);
});

test("a layer's path goes in front, once", () => {
  const error = new TensorError("sum: no.");
  error.within("attention");
  error.within("block");
  expect([error.message, error.layer]).toEqual(["block.attention: sum: no.", "block.attention"]);
});

test("a device without a dtype names the nearest it has", () => {
  const narrow = reference();
  Object.assign(narrow.driver, { dtypes: ["f32", "i32", "u32", "bool"] });
  expect(() => tensor([1], { dtype: "f16", device: narrow })).toThrow(/tensor: device reference has no f16; the nearest it has is f32/);
  expect(() => tensor([1], { device: narrow }).cast("f64")).toThrow(/cast: device reference has no f64/);
  expect(Tensor.isTensor(tensor([1], { device: narrow }))).toBe(true);
});
