import { beforeEach, describe, expect, test } from "vitest";
import { Cell, type Device, grad, Parameter, reference, State, setDefaultDevice, tensor } from "../src/index.ts";

let device: Device;
beforeEach(() => {
  device = reference();
  setDefaultDevice(device);
});
const make = (data: number[]) => new State({ shape: [data.length], data });

test("a cell starts with its data or zeros, and is read where it stands", async () => {
  const cell = make([1, 2]);
  expect([...(await cell.data())]).toEqual([1, 2]);
  expect([...(await new Parameter({ shape: [2], dtype: "i32" }).data())]).toEqual([0, 0]);
  const before = cell.value.add(10);
  cell.write([5, 6]);
  expect(await before.array()).toEqual([11, 12]);
  expect(await cell.value.add(10).array()).toEqual([15, 16]);
  expect([new Parameter({ shape: [] }).trainable, cell.trainable]).toEqual([true, false]);
});

test("pending expressions read what the cell held when they were written", async () => {
  const cell = make([1, 2]);
  const chain = cell.value.mul(3).exp().log().add(cell.value);
  cell.set(tensor([100, 200]));
  const later = cell.value.mul(3);
  cell.set(cell.value.add(1));
  expect((await chain.array()) as number[]).toEqual([expect.closeTo(4, 4), expect.closeTo(8, 4)]);
  expect(await later.array()).toEqual([300, 600]);
  expect([...(await cell.data())]).toEqual([101, 201]);
});

describe("a loan ends with the next write", () => {
  test("using it afterwards is an error that names the write and the way out", () => {
    const cell = make([1, 2]);
    const loan = cell.value;
    const view = loan.slice(0, 0, 1);
    cell.write([3, 4]);
    expect(() => loan.sum()).toThrow(
      /sum: this tensor is a loan of a cell's value, and the cell was written since, at .*cell.snapshot\(\)/,
    );
    expect(() => view.add(1).sum()).toThrow(/loan/);
  });

  test("under device.debug the line is named", () => {
    device.debug = true;
    const cell = make([1]);
    const loan = cell.value;
    cell.set(tensor([2]));
    expect(() => loan.sum()).toThrow(/cells\.test\.ts:\d+/);
  });

  test("reading a loan is refused as well", async () => {
    const cell = make([1]);
    const loan = cell.value;
    cell.write([2]);
    await expect(loan.data()).rejects.toThrow(/data: this tensor is a loan/);
  });

  test("a read begun before the write is right", async () => {
    const cell = make([1, 2]);
    const reading = cell.value.data();
    cell.write([3, 4]);
    expect([...(await reading)]).toEqual([1, 2]);
  });

  test("a backward pass that needs the old value is refused, a snapshot serves it", async () => {
    const cell = make([2, 3]);
    const x = tensor([1, 1]);
    const wrong = () =>
      grad(() => {
        const y = x
          .reshape([1, 2])
          .matmul(cell.value.reshape([2, 1]))
          .sum();
        cell.write([7, 7]);
        return y;
      }, x);
    expect(wrong).toThrow(/loan/);
    cell.write([2, 3]);
    const right = grad(() => {
      const y = x
        .reshape([1, 2])
        .matmul(cell.snapshot().reshape([2, 1]))
        .sum();
      cell.write([7, 7]);
      return y;
    }, x);
    expect(await right.array()).toEqual([2, 3]);
  });
});

describe("set", () => {
  test("of a view of itself", async () => {
    const cell = make([1, 2, 3, 4]);
    cell.set(cell.value.flip(0));
    expect([...(await cell.data())]).toEqual([4, 3, 2, 1]);
    cell.set(cell.value.reshape([2, 2]).transpose().reshape([4]));
    expect([...(await cell.data())]).toEqual([4, 2, 3, 1]);
    cell.set(cell.value.slice(0, 0, 2).concatWith(cell.value.slice(0, 0, 2), 0));
    expect([...(await cell.data())]).toEqual([4, 2, 4, 2]);
  });

  test("of a pending expression that reads the cell elsewhere", async () => {
    const cell = make([1, 2, 3]);
    cell.set(cell.value.add(cell.value.flip(0).mul(10)));
    expect([...(await cell.data())]).toEqual([31, 22, 13]);
    cell.set(cell.value.slice(0, 0, 1).mul(cell.value));
    expect([...(await cell.data())]).toEqual([961, 682, 403]);
  });

  test("of itself changes nothing, and two cells swap through a snapshot", async () => {
    const [a, b] = [make([1, 2]), make([3, 4])];
    a.set(a);
    const kept = a.snapshot();
    a.set(b);
    b.set(kept);
    expect([[...(await a.data())], [...(await b.data())]]).toEqual([
      [3, 4],
      [1, 2],
    ]);
  });

  test("stops the gradient", async () => {
    const [x, cell] = [tensor([2]), make([0])];
    const g = grad(() => {
      cell.set(x.square());
      return cell.value.mul(x).sum();
    }, x);
    expect(await g.array()).toEqual([4]);
  });

  test("leaves no memory behind", () => {
    const cell = make([1, 2, 3, 4]);
    const before = device.memory().buffers;
    for (let i = 0; i < 3; i++) {
      const view = cell.value.flip(0);
      cell.set(view);
      view.dispose();
      const pending = cell.value.mul(2);
      cell.set(pending);
      pending.dispose();
    }
    // Handles on `cell.value` made above are the garbage collector's; they hold no buffer of their own.
    expect(device.memory().buffers).toBe(before);
  });
});

test("errors: shapes, dtypes, lengths, things that are no tensor", () => {
  const cell = make([1, 2]);
  expect(() => cell.set(tensor([1, 2, 3]))).toThrow(/cell.set: the cell has shape \[2\], the tensor \[3\]/);
  expect(() => cell.set(tensor([1, 2], { dtype: "f16" }))).toThrow(/cell.set: the cell is f32, the tensor f16. Call .cast\("f32"\) first/);
  expect(() => cell.write([1])).toThrow(/cell.write: shape \[2\] holds 2 elements, got 1/);
  expect(() => new State({ shape: [-1] })).toThrow(/cell: extents must be non-negative integers, got \[-1\]/);
  expect(Cell.isCell(tensor([1]))).toBe(false);
});

test("dispose gives the memory back, and later use is an error", () => {
  const before = device.memory().buffers;
  const cell = make([1, 2]);
  const loan = cell.value;
  cell.dispose();
  expect(device.memory().buffers).toBe(before);
  expect(() => loan.sum()).toThrow(/dispose\(\)/);
  expect(() => cell.value.sum()).toThrow(/dispose/);
  expect(() => cell.write([1, 2])).toThrow(/dispose/);
});
