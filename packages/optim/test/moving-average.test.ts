import { compile, Parameter, type Tensor, tensor } from "@x/tensor";
import { expect, test } from "vitest";
import { MovingAverage } from "../src/index.ts";
import "./support.ts";

/** Averages of a parameter that takes the values given, each step skipped or not. */
async function averages(
  values: readonly number[],
  skipped: readonly number[],
  options: { decay: number; warmUp?: boolean },
  eager = false,
) {
  const parameter = new Parameter({ shape: [1], data: [1] });
  const average = new MovingAverage(
    [
      ["p", parameter],
      ["again", parameter],
    ],
    options,
  );
  const body = ({ value, skip }: { value: Tensor; skip: Tensor }) => {
    parameter.set(value.reshape([1]));
    average.update({ skip: skip.ne(0) });
  };
  const step = compile(body as never, { eager }) as unknown as (args: object) => void;
  for (const [i, value] of values.entries()) step({ value, skip: skipped[i] ?? 0 });
  return { parameter, average, e: (await average.states().get("average.p")!.data())[0]! };
}

test.each([false, true])("e = d e + (1 - d) p after every step, but not after skipped ones (eager: %s)", async (eager) => {
  const plain = await averages([3, 100, 5], [0, 1, 0], { decay: 0.75 }, eager);
  expect(plain.e).toBeCloseTo(0.75 * (0.75 * 1 + 0.25 * 3) + 0.25 * 5, 6);
  const warm = await averages([3, 100, 5], [0, 1, 0], { decay: 0.99, warmUp: true }, eager);
  const [d0, d1] = [1 / 10, 2 / 11];
  expect(warm.e).toBeCloseTo(d1 * (d0 * 1 + (1 - d0) * 3) + (1 - d1) * 5, 5);
  expect([...warm.average.states().keys()]).toEqual(["count", "average.p"]);
  expect(await warm.average.states().get("count")!.data()).toEqual(Float32Array.of(2));
});

test("evaluation sees the averages, and the parameters come back, also after an error", async () => {
  const { parameter, average } = await averages([3], [], { decay: 0.5 });
  expect(await average.during(() => parameter.data())).toEqual(Float32Array.of(2));
  expect(await parameter.data()).toEqual(Float32Array.of(3));
  await expect(average.during(() => Promise.reject(new Error("evaluation failed")))).rejects.toThrow("evaluation failed");
  expect(await parameter.data()).toEqual(Float32Array.of(3));
  average.copyTo();
  expect(await parameter.data()).toEqual(Float32Array.of(2));
});

test("reset starts again from the parameters", async () => {
  const { parameter, average } = await averages([3], [], { decay: 0.5 });
  parameter.set(tensor([7]));
  average.reset();
  expect(await average.states().get("average.p")!.data()).toEqual(Float32Array.of(7));
  expect(await average.states().get("count")!.data()).toEqual(Float32Array.of(0));
});

test("bad input", () => {
  expect(() => new MovingAverage([], { decay: 0.9 })).toThrow(/there are no parameters/);
  expect(() => new MovingAverage([["p", new Parameter({ shape: [1] })]], { decay: 2 })).toThrow(/decay must be in \[0, 1\], got 2/);
});
