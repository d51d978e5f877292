import { isTraining } from "@x/nn";
import { MovingAverage, sgd } from "@x/optim";
import { Parameter, reference, type Tensor, withDevice } from "@x/tensor";
import { describe, expect, test } from "vitest";
import { trainStep } from "../src/index.ts";
import { batch, cellsOf, parts } from "./support.ts";

const device = reference();

/** sum(w * x) has the gradient x: every number of a step can be told in advance. */
function linear(clipNorm?: number) {
  const weight = new Parameter({ shape: [2], data: [1, 2], device });
  const optimizer = sgd({ momentum: 0, weightDecay: 0 }).init([["weight", weight]]);
  const loss = ({ x, count }: { x: Tensor; count: Tensor }) => ({ sum: weight.value.mul(x).sum(), count });
  return { weight, step: trainStep({ optimizer, loss, device, ...(clipNorm !== undefined && { clipNorm }) }) };
}

describe("a step by hand", () => {
  test("divides sums by the count, measures the norm before clipping, and updates", async () => {
    const { weight, step } = linear();
    const { loss, gradNorm, skipped, count } = step({ x: { data: [6, 8], shape: [2] }, count: 2 }, { lr: 0.5 });
    expect([await loss.item(), await gradNorm.item(), await skipped.item(), await count.item()]).toEqual([11, 5, 0, 2]);
    expect([...(await weight.data())]).toEqual([1 - 0.5 * 3, 2 - 0.5 * 4]);
  });

  test("clips the gradient of the mean, not of the sum", async () => {
    const { weight, step } = linear(2.5);
    const { gradNorm } = step({ x: { data: [6, 8], shape: [2] }, count: 2 }, { lr: 1 });
    expect(await gradNorm.item()).toBe(5);
    const [a, b] = await weight.data();
    expect(a).toBeCloseTo(1 - 1.5, 5);
    expect(b).toBeCloseTo(2 - 2, 5);
    // Its norm, 5, is within 6, whereas that of the sum would not be.
    const loose = linear(6);
    loose.step({ x: { data: [6, 8], shape: [2] }, count: 2 }, { lr: 1 });
    expect([...(await loose.weight.data())]).toEqual([-2, -2]);
  });

  test("micro-batches: sums over all, divided once", async () => {
    const { weight, step } = linear();
    const micro = [
      { x: { data: [6, 8], shape: [2] }, count: 1 },
      { x: { data: [0, 0], shape: [2] }, count: 5 },
      { x: { data: [6, 8], shape: [2] }, count: 2 },
    ];
    const { loss, count } = step(micro, { lr: 1 });
    expect([await loss.item(), await count.item()]).toEqual([(22 + 0 + 22) / 8, 8]);
    expect([...(await weight.data())]).toEqual([1 - 12 / 8, 2 - 16 / 8]);
  });

  test("no target at all changes nothing", async () => {
    const { weight, step } = linear();
    const { loss } = step({ x: { data: [0, 0], shape: [2] }, count: 0 }, { lr: 1 });
    expect(await loss.item()).toBe(0);
    expect([...(await weight.data())]).toEqual([1, 2]);
  });
});

describe("accumulation", () => {
  const uneven = [batch([0, 20]), batch([40, 60], { ignore: 7 }), batch([80, 100], { ignore: 3 })];
  const whole = (() => {
    const join = (name: "inputs" | "targets") => uneven.flatMap((one) => [...(one[name] as unknown as { data: Int32Array }).data]);
    return {
      inputs: { data: Int32Array.from(join("inputs")), shape: [6, 5] },
      targets: { data: Int32Array.from(join("targets")), shape: [6, 5] },
    };
  })();

  test("k micro-batches are one large batch, however uneven their targets", async () => {
    const [one, many] = [parts(device, { dropout: 0 }), parts(device, { dropout: 0 })];
    for (let i = 0; i < 5; i++) {
      const [a, b] = [one.step(whole, { lr: 0.02 }), many.step(uneven, { lr: 0.02 })];
      expect(Math.abs((await a.loss.item()) - (await b.loss.item()))).toBeLessThan(1e-6);
      expect(await b.count.item()).toBe(20);
    }
    const [a, b] = [await cellsOf(one), await cellsOf(many)];
    for (const [name, values] of Object.entries(a)) {
      if (name === "key") continue;
      for (const [i, value] of values.entries()) expect(Math.abs(value - b[name]![i]!)).toBeLessThan(1e-6);
    }
  });

  test("a step that fails midway leaves nothing of its micro-batches behind", async () => {
    const [one, other] = [parts(device, { dropout: 0 }), parts(device, { dropout: 0 })];
    const broken = { ...uneven[1]!, targets: { data: Float32Array.of(1), shape: [1] } };
    expect(() => one.step([uneven[0]!, uneven[1]!, broken], { lr: 0.1 })).toThrow("crossEntropy");
    for (const made of [one, other]) made.step(uneven, { lr: 0.1 });
    expect(await cellsOf(one)).toEqual(await cellsOf(other));
  });
});

describe("training mode and randomness", () => {
  test("the loss runs in training mode, and nothing else does", () => {
    const seen: boolean[] = [];
    const watched =
      <B, R>(loss: (b: B) => R) =>
      (b: B) => {
        seen.push(isTraining());
        return loss(b);
      };
    const { step } = parts(device, { eager: true, wrap: watched });
    step(batch([0]), { lr: 0.1 });
    expect([...seen, isTraining()]).toEqual([true, false]);
  });

  test("dropout draws anew in every step and every micro-batch, the same for the same generator", async () => {
    const losses = async () => {
      const { step } = parts(device);
      const made: number[] = [];
      for (let i = 0; i < 3; i++) made.push(await step(batch([0, 9]), { lr: 0 }).loss.item());
      made.push(await step([batch([0, 9]), batch([0, 9])], { lr: 0 }).loss.item());
      return made;
    };
    const first = await losses();
    expect(new Set(first).size).toBe(4);
    expect(await losses()).toEqual(first);
  });
});

describe("what is not finite", () => {
  const factor = (made: ReturnType<typeof linear>, x: number) => made.step({ x: { data: [x, 1], shape: [2] }, count: 1 }, { lr: 1 });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 3e38])("a gradient of %s updates nothing, and says so", async (x) => {
    const made = linear(1);
    expect(await factor(made, x).skipped.item()).toBe(1);
    expect([...(await made.weight.data())]).toEqual([1, 2]);
    expect(await factor(made, 1).skipped.item()).toBe(0);
  });

  test("a loss of NaN whose gradient hides it, too", async () => {
    const weight = new Parameter({ shape: [1], data: [1], device });
    const optimizer = sgd({ momentum: 0 }).init([["weight", weight]]);
    const step = trainStep({ optimizer, loss: ({ x }: { x: Tensor }) => weight.value.sum().add(x), device });
    expect(await step({ x: Number.NaN }, { lr: 1 }).skipped.item()).toBe(1);
    expect([...(await weight.data())]).toEqual([1]);
  });

  test("one skipped step among micro-batches leaves weights, moments and step count bit for bit", async () => {
    const made = parts(device, { dropout: 0 });
    made.step([batch([0]), batch([9])], { lr: 0.1 });
    const { key: _, ...before } = await cellsOf(made);
    const { weight } = made.model.head;
    const kept = Float32Array.from((await weight.data()) as Float32Array);
    weight.write(kept.map((value, i) => (i === 0 ? Number.NaN : value)));
    expect(await made.step([batch([0]), batch([9])], { lr: 0.1 }).skipped.item()).toBe(1);
    weight.write(kept);
    const { key: __, ...after } = await cellsOf(made);
    expect(after).toEqual(before);
  });

  test("a rate that is not finite, or no batch, is refused before anything changes", () => {
    const { step } = linear();
    const x = { x: { data: [1, 1], shape: [2] }, count: 1 };
    expect(() => step(x, { lr: Number.NaN })).toThrow("trainStep: lr must be a finite number, got NaN");
    expect(() => step([], { lr: 1 })).toThrow("at least one batch");
  });
});

describe("beside the update", () => {
  test("`after` sees whether the update was left out", async () => {
    const weight = new Parameter({ shape: [1], data: [1], device });
    const optimizer = sgd({ momentum: 0 }).init([["weight", weight]]);
    const average = new MovingAverage([["weight", weight]], { decay: 0.5 });
    const loss = ({ x }: { x: Tensor }) => weight.value.mul(x).sum();
    const step = trainStep({ optimizer, loss, device, after: (skip) => average.update({ skip }) });
    const averaged = async () => [...(await [...average.states()].find(([name]) => name.includes("weight"))![1].data())][0];
    step({ x: 1 }, { lr: 0.5 });
    expect(await averaged()).toBe(0.75);
    step({ x: Number.NaN }, { lr: 0.5 });
    expect(await averaged()).toBe(0.75);
  });

  test("f64 parameters accumulate in f64", async () => {
    const weight = new Parameter({ shape: [1], dtype: "f64", data: [1], device });
    const optimizer = sgd({ momentum: 0, weightDecay: 0 }).init([["weight", weight]]);
    const step = trainStep({ optimizer, loss: ({ x }: { x: Tensor }) => weight.value.mul(x).sum(), device });
    const x = (value: number) => ({ x: { data: [value], shape: [1], dtype: "f64" as const } });
    step([x(1), x(2 ** -40)], { lr: 1 });
    expect([...(await weight.data())]).toEqual([1 - (1 + 2 ** -40) / 2]);
  });

  test("in steady state nothing is allocated, and release gives everything back", () => {
    const fresh = reference();
    withDevice(fresh, () => {
      const made = parts(fresh);
      const empty = fresh.memory();
      const figures = () => {
        for (const micro of [batch([0, 9]), [batch([1, 2]), batch([3, 4]), batch([5, 6])]])
          for (const reading of Object.values(made.step(micro, { lr: 0.1 }))) reading.dispose();
        const { live, buffers, allocations } = fresh.memory();
        return { live, buffers, allocations };
      };
      figures();
      const warm = figures();
      for (let i = 0; i < 40; i++) expect(figures()).toEqual(warm);
      made.step.release();
      expect(fresh.memory()).toMatchObject({ live: empty.live, buffers: empty.buffers, reclaimed: 0 });
    });
  });

  test("prepare compiles every phase without running", async () => {
    const made = parts(device, { dropout: 0 });
    const before = await cellsOf(made);
    await made.step.prepare([batch([0]), batch([9])]);
    expect(await cellsOf(made)).toEqual(before);
  });
});
