import { beforeAll, expect, test, vi } from "vitest";
import * as here from "../src/index.ts";

// Two copies of the package in one program, as a plugin with its own node_modules makes them: brands hold, and what cannot mix says so.
let there: typeof here;
beforeAll(async () => {
  vi.resetModules();
  there = await import("../src/index.ts");
});

test("they are two copies", () => expect(there.Tensor).not.toBe(here.Tensor));

test("tensors, cells and errors are recognised by brand", () => {
  const device = there.reference();
  expect(here.Tensor.isTensor(there.tensor([1], { device }))).toBe(true);
  expect(here.Cell.isCell(new there.State({ shape: [1], device }))).toBe(true);
  expect(here.TensorError.isInstance(new there.ShapeError("x"))).toBe(true);
  expect(here.TensorError.isInstance(new Error("x"))).toBe(false);
});

test("a kernel for the other copy's contract is refused by name", () => {
  const kernel: here.Kernel = {
    name: "other sum",
    contract: there.sum.contract as never,
    driver: "reference",
    interface: here.tensorInterface,
    plan: () => ({ launches: [] }),
  };
  expect(() => here.reference({ kernels: [kernel] })).toThrow(/two different contracts are named "sum" \(two copies of a package/);
});

test("a driver of another interface number is refused, naming both", () => {
  const { driver } = here.reference();
  expect(() => new here.Device({ ...driver, interface: 7 })).toThrow(/built for tensor interface 7, this copy of the tensor package has 1/);
});
