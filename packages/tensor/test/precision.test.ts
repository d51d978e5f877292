import { beforeEach, describe, expect, test } from "vitest";
import {
  checkpointed,
  currentPrecision,
  type Device,
  grad,
  Parameter,
  reference,
  State,
  setDefaultDevice,
  type Tensor,
  tensor,
  valueAndGrad,
  withPrecision,
} from "../src/index.ts";

let device: Device;
beforeEach(() => {
  device = reference();
  setDefaultDevice(device);
});
/** No f16 number lies within 2^-13 of it. */
const between = 1 + 3 * 2 ** -12;
const one = (value = between, dtype: "f32" | "f64" = "f32") => new Parameter({ shape: [1], dtype, data: [value] });
const first = async (x: { data(): Promise<ArrayLike<number>> }) => (await x.data())[0];

describe("reading", () => {
  test("parameters arrive rounded, listed or not; other cells, f64 parameters and what data() gives stay", async () => {
    const [listed, other, wide] = [one(), one(), one(between, "f64")];
    const state = new State({ shape: [1], data: [between] });
    const read = withPrecision("f16", [listed], () => ({
      listed: listed.value.copy(),
      other: other.value.copy(),
      wide: wide.value.copy(),
      state: state.value.copy(),
      dtype: currentPrecision(),
      contents: [listed.data()],
    }));
    expect([read.listed.dtype, read.other.dtype, read.wide.dtype, read.state.dtype, read.dtype]).toEqual([
      "f16",
      "f16",
      "f64",
      "f32",
      "f16",
    ]);
    expect([await first(read.listed), await first(read.other)]).toEqual([1 + 2 ** -10, 1 + 2 ** -10]);
    expect(await first({ data: () => read.contents[0]! })).toBe(between);
    expect([listed.value.dtype, currentPrecision(), listed.dtype]).toEqual(["f32", "f32", "f32"]);
  });

  test("a listed parameter is cast once, however often it is read", () => {
    const weight = one();
    const values = withPrecision("bf16", [weight], () => [weight.inner, weight.inner, weight.value.inner]);
    expect(new Set(values).size).toBe(1);
  });

  test("one that was written inside is cast again", async () => {
    const weight = one();
    const after = withPrecision("f16", [weight], () => {
      weight.set(tensor([3]));
      return weight.value.copy();
    });
    expect([after.dtype, await first(after)]).toEqual(["f16", 3]);
  });

  test("nesting: the inner one counts, and f32 turns it off", () => {
    const weight = one();
    const seen = withPrecision("f16", [weight], () => [
      withPrecision("bf16", [weight], () => weight.value.dtype),
      withPrecision("f32", [weight], () => weight.value.dtype),
      weight.value.dtype,
    ]);
    expect(seen).toEqual(["bf16", "f32", "f16"]);
  });

  test("other precisions and promises are refused, and nothing stays switched on", () => {
    expect(() => withPrecision("f8" as "f16", [], () => 1)).toThrow('precision must be one of f32, f16, bf16, got "f8"');
    expect(() => withPrecision("f16", [], async () => 1)).toThrow("must be synchronous");
    expect(currentPrecision()).toBe("f32");
  });

  test("what it casts goes back, whatever happens", () => {
    const weight = one();
    const { buffers } = device.memory();
    withPrecision("f16", [weight], () => expect(device.memory().buffers).toBe(buffers + 1));
    const fails = () => {
      throw new Error("in the body");
    };
    expect(() => withPrecision("f16", [weight], fails)).toThrow("in the body");
    expect(device.memory().buffers).toBe(buffers);
  });
});

describe("gradients", () => {
  test("taken around it arrive in f32 through the cast, taken inside in its own precision", () => {
    const [listed, other] = [one(), one()];
    const loss = () => listed.value.mul(other.value).sum();
    const around = grad(() => withPrecision("f16", [listed], loss), [listed, other]);
    expect(around.map(({ dtype }) => dtype)).toEqual(["f32", "f32"]);
    const inside = withPrecision("f16", [listed, other], () => grad(loss, [listed, other]));
    expect(inside.map(({ dtype }) => dtype)).toEqual(["f16", "f16"]);
  });

  test("a checkpointed body runs again in the precision it had, although the backward pass comes after", async () => {
    const weights = () => [0.3, 0.7].map((value) => one(value));
    const run = async (wrap: (fn: () => Tensor) => Tensor, listed: (all: Parameter[]) => Parameter[]) => {
      const all = weights();
      const body = () => all.reduce((x, w) => wrap(() => x.mul(w.value).tanh().add(w.value)), all[0]!.value);
      const { value, gradients } = valueAndGrad(() => withPrecision("f16", listed(all), () => body().sum()), all);
      return [await value.item(), ...(await Promise.all(gradients.map(first)))];
    };
    const plain = await run(
      (fn) => fn(),
      (all) => all,
    );
    expect(await run(checkpointed, (all) => all)).toEqual(plain);
    expect(await run(checkpointed, () => [])).toEqual(plain);
  });
});
