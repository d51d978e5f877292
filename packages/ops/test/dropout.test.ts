import { compile, Generator, grad, ones, reference, State, setDefaultDevice, type Tensor, valueAndGrad } from "@x/tensor";
import { beforeAll, expect, test } from "vitest";
import { dropout } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const generator = () => new Generator({ seed: 5 });

test.each([0.1, 0.5, 0.9])("drops the fraction %d and keeps the mean", async (p) => {
  const count = 20_000;
  const y = await dropout(ones([count]), p, { generator: generator() }).data();
  const kept = y.filter((x) => x !== 0);
  expect(kept.every((x) => Math.abs(x - 1 / (1 - p)) < 1e-5)).toBe(true);
  // Five standard deviations.
  expect(Math.abs(kept.length / count - (1 - p))).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / count));
});

test("the backward pass uses the mask of the forward pass", async () => {
  const x = ones([500]);
  const { value, gradients } = valueAndGrad(() => {
    const y = dropout(x, 0.4, { generator: generator() });
    return { loss: y.sum(), y };
  }, x);
  expect([...(await gradients.data())]).toEqual([...(await value.y.data())]);
});

test("draws differ from call to call, and repeat from the same seed", async () => {
  const [a, b] = [generator(), generator()];
  const draw = async (from: Generator) => [...(await dropout(ones([100]), 0.5, { generator: from }).data())];
  const [first, second] = [await draw(a), await draw(a)];
  expect(first).not.toEqual(second);
  expect(await draw(b)).toEqual(first);
  expect(await draw(b)).toEqual(second);
});

test("a compiled step draws anew each time, with one mask in both directions", async () => {
  const x = new State({ shape: [64], data: new Array(64).fill(1) });
  const step = compile<Record<string, never>, { y: Tensor; gradient: Tensor }>(() => {
    const { value, gradients } = valueAndGrad(() => {
      const y = dropout(x.value, 0.5);
      return { loss: y.sum(), y };
    }, x);
    return { y: value.y, gradient: gradients };
  });
  const masks: string[] = [];
  for (let i = 0; i < 3; i++) {
    const { y, gradient } = step({});
    masks.push(String(await y.data()));
    expect(String(await gradient.data())).toBe(masks[i]);
  }
  expect(new Set(masks).size).toBe(3);
  step.release();
});

test("probability 0 passes everything, probability 1 gives zeros even of infinities, and neither draws", async () => {
  const from = generator();
  const before = from.ordinal;
  const x = ones([3]).div(0);
  expect([...(await dropout(x, 0, { generator: from }).data())]).toEqual([
    Number.POSITIVE_INFINITY,
    Number.POSITIVE_INFINITY,
    Number.POSITIVE_INFINITY,
  ]);
  expect([...(await dropout(x, 1, { generator: from }).data())]).toEqual([0, 0, 0]);
  expect([...(await grad(() => dropout(x, 1, { generator: from }).sum(), x).data())]).toEqual([0, 0, 0]);
  expect(from.ordinal).toBe(before);
});
