import { compile, type Parameter, type Tensor, tensor, valueAndGrad } from "@x/tensor";
import { compareArrays } from "@x/testing";
import { expect, test } from "vitest";
import { Accumulator, adamW, clipByGlobalNorm } from "../src/index.ts";
import { parameterOf, random, values } from "./support.ts";

const start = values(12);
/** A linear model with squared errors; the loss is the sum over the rows. */
const sumOfLosses = (weight: Parameter, x: Tensor, y: Tensor) => x.matmul(weight.value).sub(y).square().sum();

function setUp() {
  const weight = parameterOf([4, 3]);
  weight.write(start);
  return { weight, accumulator: new Accumulator([["weight", weight]]), optimizer: adamW().init([["weight", weight]]) };
}

type Batch = { x: Tensor; y: Tensor };

/** The accumulating step: adds a micro-batch; the last one also applies. */
function accumulating({ weight, accumulator, optimizer }: ReturnType<typeof setUp>, eager: boolean) {
  const body = ({ x, y }: Batch, { phase }: { phase: "accumulate" | "apply" }) => {
    accumulator.add(valueAndGrad(() => sumOfLosses(weight, x, y), [weight]).gradients, x.shape[0]!);
    if (phase === "accumulate") return;
    accumulator.apply(({ gradients, gradScale }) => {
      optimizer.update(gradients, { lr: 0.1, ...clipByGlobalNorm(gradients, 0.5, { gradScale }) });
    });
  };
  return compile(body as never, { eager }) as unknown as (batch: Batch, statics: { phase: string }) => void;
}

test.each([false, true])("unequal micro-batches give what one large batch gives (eager: %s)", async (eager) => {
  const [whole, parts] = [setUp(), setUp()];
  const step = accumulating(parts, eager);
  for (let round = 0; round < 3; round++) {
    const [x, y] = [random([10, 4]), random([10, 3])];
    const { gradients } = valueAndGrad(() => sumOfLosses(whole.weight, x, y), [whole.weight]);
    whole.optimizer.update(gradients, { lr: 0.1, ...clipByGlobalNorm(gradients, 0.5, { gradScale: tensor(0.1) }) });
    const [xs, ys] = [x.split(0, [1, 6, 3]), y.split(0, [1, 6, 3])];
    for (const i of [0, 1, 2]) step({ x: xs[i]!, y: ys[i]! }, { phase: i < 2 ? "accumulate" : "apply" });
  }
  const comparison = compareArrays(await parts.weight.data(), await whole.weight.data(), { atol: 1e-6, rtol: 1e-6 });
  expect(comparison.pass, comparison.report()).toBe(true);
});

test("without any target the gradient is zero, not NaN; after applying it starts again", async () => {
  const { weight, accumulator } = setUp();
  accumulator.add([weight.value.mul(0)], tensor(0, { dtype: "i32" }));
  expect(await accumulator.apply(({ gradScale }) => gradScale.copy()).item()).toBe(1);
  accumulator.add([weight.value.mul(Number.NaN)], 3);
  expect(await accumulator.apply(({ count }) => count).item()).toBe(3);
  for (const cell of accumulator.states().values()) expect(Array.from(await cell.data()).every((v) => v === 0)).toBe(true);
  expect([...accumulator.states().keys()]).toEqual(["count", "sum.weight"]);
});

test("bad input", () => {
  const { weight, accumulator } = setUp();
  expect(() => accumulator.add([], 1)).toThrow(/Accumulator.add: expected 1 gradients/);
  expect(() => accumulator.add([weight.value], tensor([1]))).toThrow(/count must have shape \[\]/);
});
