import { everyOutput, grad, reference, setDefaultDevice, type Tensor, tensor } from "@x/tensor";
import { beforeAll, expect, test } from "vitest";
import { countTargets, crossEntropy, logSoftmax, meanCrossEntropy, softmax } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const logits = (): Tensor =>
  tensor(
    [
      [1, 2, 3],
      [0, 0, 0],
      [5, -5, 1],
      [2, 2, 1],
    ],
    { dtype: "f64" },
  );
const targets = (...ids: number[]): Tensor => tensor(Int32Array.from(ids));

test("the loss is -log softmax at the target, and 0 where it is ignored", async () => {
  const loss = await crossEntropy({ logits: logits(), targets: targets(2, -100, 0, 1) }).data();
  const log = await logSoftmax({ x: logits() }).data();
  expect(loss[0]).toBeCloseTo(-log[2]!, 12);
  expect(loss[1]).toBe(0);
  expect(loss[2]).toBeCloseTo(-log[6]!, 12);
  expect(loss[3]).toBeCloseTo(-log[10]!, 12);
});

test("the gradient is softmax less the target's one-hot, 0 in ignored rows", async () => {
  const x = logits();
  const gradient = [...(await grad(() => crossEntropy({ logits: x, targets: targets(2, -100, 0, 1) }).sum(), x).data())];
  const p = [...(await softmax({ x }).data())];
  const expected = p.map((value, i) => (i >= 3 && i < 6 ? 0 : value - ([2, 6, 10].includes(i) ? 1 : 0)));
  for (const [i, value] of gradient.entries()) expect(value).toBeCloseTo(expected[i]!, 12);
});

test("the mean is taken over the targets that count", async () => {
  const ids = targets(2, -100, 0, -100);
  const losses = await crossEntropy({ logits: logits(), targets: ids }).data();
  expect(await meanCrossEntropy(logits(), ids).item()).toBeCloseTo((losses[0]! + losses[2]!) / 2, 12);
  expect(await countTargets(ids).item()).toBe(2);
  expect(await countTargets(targets(7, 7, 3), 7).item()).toBe(1);
});

test("without any target that counts the mean is 0, and so is its gradient", async () => {
  const x = logits();
  const ids = targets(-100, -100, -100, -100);
  expect(await meanCrossEntropy(x, ids).item()).toBe(0);
  expect([...(await grad(() => meanCrossEntropy(x, ids), x).data())]).toEqual(new Array(12).fill(0));
});

test("the ignored index may be a class", async () => {
  const loss = await crossEntropy({ logits: logits(), targets: targets(2, 1, 2, 1) }, { ignoreIndex: 1 }).data();
  expect([...loss].map((x) => x === 0)).toEqual([false, true, false, true]);
});

test("logits of 1e4 and of -1e30 overflow nowhere", async () => {
  const x = tensor([
    [1e4, 9990, -1e4],
    [-1e30, 0, -1e30],
  ]);
  const ids = targets(1, 1);
  expect([...(await crossEntropy({ logits: x, targets: ids }).data())]).toEqual([expect.closeTo(10, 3), 0]);
  expect((await grad(() => crossEntropy({ logits: x, targets: ids }).sum(), x).data()).every(Number.isFinite)).toBe(true);
});

test("the log-sum-exp comes out beside the loss, for ignored rows too", async () => {
  const { logSumExp } = everyOutput(crossEntropy, { logits: logits(), targets: targets(0, -100, 0, 0) }) as { logSumExp: Tensor };
  expect((await logSumExp.data())[1]).toBeCloseTo(Math.log(3), 12);
});
