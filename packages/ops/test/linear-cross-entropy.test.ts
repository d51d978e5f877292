import { grad, Parameter, reference, type Shape, scope, setDefaultDevice, sizeOf, type Tensor, tensor } from "@x/tensor";
import { compareArrays, Stream } from "@x/testing";
import { beforeAll, expect, test } from "vitest";
import { crossEntropy, linear, linearCrossEntropy } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const draw = (name: string, shape: Shape): Tensor => tensor(new Stream(name).normal(sizeOf(shape)), { shape, dtype: "f64" });
const targets = () => tensor(Int32Array.of(1, 0, -100, 6, 3, 3), { shape: [2, 3] });

async function expectEqual(actual: Tensor, expected: Tensor): Promise<void> {
  const comparison = compareArrays(await actual.data(), await expected.data(), { atol: 1e-12, rtol: 1e-12, shape: expected.shape });
  expect(comparison.pass, comparison.report()).toBe(true);
}

test.each([1, 2, 4, 6, 100])("with %i rows at a time it equals cross-entropy of all logits, gradients too", async (chunk) => {
  const wrt = { x: draw("x", [2, 3, 4]), weight: draw("weight", [7, 4]) };
  const whole = () => crossEntropy({ logits: linear(wrt), targets: targets() });
  const parts = () => linearCrossEntropy({ ...wrt, targets: targets() }, { chunk });
  await expectEqual(parts(), whole());
  const [made, expected] = [parts, whole].map((losses) => grad(() => losses().square().sum(), wrt)) as [typeof wrt, typeof wrt];
  await expectEqual(made.x, expected.x);
  await expectEqual(made.weight, expected.weight);
});

test("adds a bias to the logits, whose gradient sums over all chunks", async () => {
  const wrt = { x: draw("x", [2, 3, 4]), weight: draw("weight", [7, 4]), bias: draw("bias", [7]) };
  const [made, expected] = [
    () => linearCrossEntropy({ ...wrt, targets: targets() }, { chunk: 4 }),
    () => crossEntropy({ logits: linear(wrt), targets: targets() }),
  ];
  await expectEqual(made(), expected());
  const [ours, theirs] = [made, expected].map((losses) => grad(() => losses().square().sum(), wrt)) as [typeof wrt, typeof wrt];
  for (const name of ["x", "weight", "bias"] as const) await expectEqual(ours[name], theirs[name]);
});

test("at no time are more logits alive than those of a chunk", () => {
  const peak = (losses: (given: { x: Tensor; weight: Tensor; targets: Tensor }) => Tensor) => {
    const device = reference();
    const [x, weight] = [
      tensor(new Float32Array(64), { shape: [64, 1], device }),
      tensor(new Float32Array(300), { shape: [300, 1], device }),
    ];
    const ids = tensor(new Int32Array(64), { device });
    scope(() => grad(() => losses({ x, weight, targets: ids }).sum(), [x, weight]));
    return device.memory().peak;
  };
  const whole = peak(({ x, weight, targets: ids }) => crossEntropy({ logits: linear({ x, weight }), targets: ids }));
  expect(peak((given) => linearCrossEntropy(given, { chunk: 4 }))).toBeLessThan(whole / 5);
});

test("reads cells, and takes no rows at all", async () => {
  const weight = new Parameter({ shape: [5, 2], data: new Stream("w").normal(10) });
  const x = tensor([[1, 2]]);
  const ids = tensor(Int32Array.of(3));
  const expected = crossEntropy({ logits: linear({ x, weight }), targets: ids });
  await expectEqual(linearCrossEntropy({ x, weight, targets: ids }), expected);
  expect(linearCrossEntropy({ x: x.slice(0, 0, 0), weight, targets: ids.slice(0, 0, 0) }).shape).toEqual([0]);
});

test("refuses a chunk of no rows, and targets that do not match", () => {
  const given = { x: draw("x", [2, 3, 4]), weight: draw("weight", [7, 4]) };
  expect(() => linearCrossEntropy({ ...given, targets: targets() }, { chunk: 0 })).toThrow(
    "linearCrossEntropy: chunk must be a positive number of rows, got 0",
  );
  expect(() => linearCrossEntropy({ ...given, targets: targets().reshape([6]) })).toThrow("linearCrossEntropy: targets must be [2, 3]");
});
