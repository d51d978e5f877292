import { expect, test } from "vitest";
import { aux, defineOp, one, out, reference, scope, tensor, valueAndGrad, withDevice } from "../src/index.ts";

/** Its two outputs are one tensor, which a gradient must not count twice. */
const twice = defineOp({
  name: "test/twice",
  inputs: { x: one() },
  outputs: { y: out(), same: aux() },
  infer: ({ x }) => ({ y: x, same: x }),
  reference: ({ x }) => {
    const y = x.mul(2);
    return { y, same: y };
  },
  saves: ["same"],
  grad: ({ saved, upstream }) => {
    const arriving = [upstream.y, upstream.same].filter((gradient) => gradient !== undefined);
    return {
      x: arriving
        .reduce((a, b) => a.add(b))
        .add(saved.same.zerosLike())
        .mul(2),
    };
  },
});

/** Gives its input back. */
const same = defineOp({
  name: "test/same",
  inputs: { x: one() },
  outputs: { y: out() },
  infer: ({ x }) => ({ y: x }),
  reference: ({ x }) => ({ y: x }),
  grad: ({ upstream }) => ({ x: upstream.y }),
});

/** Copies on the way, so that its reference makes handles of its own. */
const centered = defineOp({
  name: "test/centered",
  inputs: { x: one() },
  outputs: { y: out() },
  infer: ({ x }) => ({ y: x }),
  reference: ({ x }) => ({ y: x.sub(x.mean()).copy() }),
});

test.each([
  ["two outputs that are one tensor", twice, 2],
  ["an output that is the input", same, 1],
])("gradients through %s arrive once, and nothing stays behind", async (_, op, slope) => {
  const device = reference();
  await withDevice(device, async () => {
    const x = tensor([1, 2, 3]);
    const before = device.memory().buffers;
    const gradient = withDevice(device, () => scope(() => valueAndGrad(() => op({ x }).sum(), x).gradients));
    expect(await gradient.array()).toEqual([slope, slope, slope]);
    gradient.dispose();
    expect(device.memory().buffers).toBe(before);
  });
});

test("outside any scope a composite leaves nothing behind but its results", () => {
  const device = reference();
  const x = tensor([1, 2, 3], { device });
  const before = device.memory().buffers;
  const y = centered({ x });
  expect(device.memory().buffers).toBe(before + 1);
  y.dispose();
  expect(device.memory().buffers).toBe(before);
  const gradients = valueAndGrad(() => centered({ x }).square().sum(), x);
  gradients.value.dispose();
  gradients.gradients.dispose();
  expect(device.memory().buffers).toBe(before);
});
