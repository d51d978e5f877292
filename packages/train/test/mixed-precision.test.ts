import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openTraining } from "@x/checkpoint";
import { sgd } from "@x/optim";
import { currentPrecision, Parameter, reference, type Tensor } from "@x/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type MetricsRecord, trainStep } from "../src/index.ts";
import { batch, cellsOf, makeTrainer, parts } from "./support.ts";

const device = reference();
const cast = (x: Tensor) => x.cast(currentPrecision());

/** sum(w * x) times a factor, plain gradient descent: in f32 every number of a step can be told in advance. `small` multiplies what reaches the f16 part of the backward pass. */
function linear({ clipNorm = 1e9, small = 1, precision = "f16", lossScaling = {} }: LinearOptions = {}) {
  const weight = new Parameter({ shape: [2], data: [1, 2], device });
  const optimizer = sgd({ momentum: 0, weightDecay: 0 }).init([["weight", weight]]);
  const loss = ({ x, count }: { x: Tensor; count: Tensor }) => ({ sum: weight.value.mul(cast(x)).cast("f32").mul(small).sum(), count });
  const step = trainStep({ optimizer, loss, device, clipNorm, precision, ...(precision === "f16" && { lossScaling }) });
  const run = async (x: readonly number[], count = 1, lr = 1) => {
    const { loss, gradNorm, skipped, lossScale } = step({ x: { data: [...x], shape: [2] }, count }, { lr });
    return { loss: await loss.item(), norm: await gradNorm.item(), skipped: await skipped.item(), scale: await lossScale?.item() };
  };
  return { weight, step, run, weights: async () => [...(await weight.data())] };
}
interface LinearOptions {
  readonly clipNorm?: number;
  readonly small?: number;
  readonly precision?: "f16" | "bf16";
  readonly lossScaling?: { readonly initial?: number; readonly interval?: number };
}

describe("a step by hand", () => {
  test("loss, norm and update are those of the unscaled mean", async () => {
    const { run, weights } = linear();
    expect(await run([6, 8], 2, 0.5)).toEqual({ loss: 11, norm: 5, skipped: 0, scale: 65536 });
    expect(await weights()).toEqual([1 - 0.5 * 3, 2 - 0.5 * 4]);
  });

  test("clips what the gradient is without the scale", async () => {
    const { run, weights } = linear({ clipNorm: 6 });
    await run([6, 8], 2);
    expect(await weights()).toEqual([-2, -2]);
  });

  test("gradients that f16 has no numbers for arrive all the same", async () => {
    const { run, weights } = linear({ small: 2 ** -30 });
    expect((await run([1, 3], 1, 2 ** 30)).norm).toBeCloseTo(Math.sqrt(10) * 2 ** -30, 14);
    expect(await weights()).toEqual([0, -1]);
  });

  test("the scale is on the mean: thousands of targets do not overflow", async () => {
    expect(await linear().run([4096, 0], 4096)).toMatchObject({ norm: 1, skipped: 0, scale: 65536 });
  });

  test("weights move by updates that f16 could not hold", async () => {
    const { run, weights, weight } = linear({ lossScaling: { initial: 1024 } });
    for (let i = 0; i < 4; i++) await run([1, 1], 1, 2 ** -14);
    expect(await weights()).toEqual([1 - 2 ** -12, 2 - 2 ** -12]);
    expect(weight.dtype).toBe("f32");
  });

  test("bf16 is cast and summed alike, and has no scale", async () => {
    const { run, weights, step } = linear({ precision: "bf16" });
    expect(await run([6, 8], 2, 0.5)).toEqual({ loss: 11, norm: 5, skipped: 0, scale: undefined });
    expect(await weights()).toEqual([-0.5, 0]);
    expect(step.states().size).toBe(0);
  });
});

describe("the scale", () => {
  test("falls by half where a step overflows, which is left out, and rises after `interval` good steps in a row", async () => {
    const { run, weights } = linear({ lossScaling: { initial: 2 ** 18, interval: 3 } });
    const scales: (number | undefined)[] = [];
    const skipped: number[] = [];
    for (let i = 0; i < 9; i++) {
      const read = await run([1, 1], 1, 2 ** -6);
      scales.push(Math.log2(read.scale!));
      skipped.push(read.skipped);
    }
    expect(scales).toEqual([18, 17, 16, 15, 15, 15, 16, 15, 15]);
    expect(skipped).toEqual([1, 1, 1, 0, 0, 0, 1, 0, 0]);
    expect(await weights()).toEqual([1 - 5 / 64, 2 - 5 / 64]);
  });

  test("counts good steps in a row: one that is left out starts the count again", async () => {
    const { run } = linear({ lossScaling: { initial: 2 ** 10, interval: 3 } });
    const scales: number[] = [];
    for (const x of [1, 1, Number.NaN, 1, 1, 1, 1]) scales.push(Math.log2((await run([x, 1])).scale!));
    expect(scales).toEqual([10, 10, 10, 9, 9, 9, 10]);
  });

  test("an overflow leaves weights, moments and step count bit for bit; then it recovers", async () => {
    const made = parts(device, { dropout: 0, precision: "f16", lossScaling: { initial: 2 ** 40 } });
    const without = ({ key: _, loss_scale, "loss_scale.good_steps": __, ...cells }: Awaited<ReturnType<typeof cellsOf>>) => cells;
    const before = without(await cellsOf(made));
    let overflows = 0;
    for (; (await made.step(batch([0, 9]), { lr: 0.1 }).skipped.item()) === 1; overflows++) {
      expect(without(await cellsOf(made))).toEqual(before);
      expect((await cellsOf(made)).loss_scale).toEqual([2 ** (39 - overflows)]);
    }
    expect(overflows).toBeGreaterThan(15);
    expect((await cellsOf(made)).step).toEqual([1]);
    expect(without(await cellsOf(made))).not.toEqual(before);
  });

  test("stays a number that can come back, down and up", async () => {
    const { run } = linear({ lossScaling: { initial: 2 ** -13, interval: 1 } });
    for (const [x, scale] of [
      [Number.NaN, -13],
      [Number.NaN, -14],
      [Number.NaN, -14],
      [1, -14],
      [1, -13],
    ] as const)
      expect(Math.log2((await run([x, 1])).scale!)).toBe(scale);
    const tiny = linear({ small: 2 ** -60, lossScaling: { initial: 2 ** 63, interval: 1 } });
    for (const scale of [63, 64, 64]) expect(await tiny.run([1, 1])).toMatchObject({ skipped: 0, scale: 2 ** scale });
  });

  test("micro-batches: gradients are weighed by their targets, an overflow in one leaves all out", async () => {
    const { step, weights } = linear();
    const micro = (x: readonly number[], count: number) => ({ x: { data: [...x], shape: [2] }, count });
    const { loss, gradNorm, lossScale } = step([micro([6, 8], 2), micro([0, 0], 10), micro([6, 8], 4)], { lr: 1 });
    expect([await loss.item(), await gradNorm.item(), await lossScale!.item()]).toEqual([44 / 16, 1.25, 65536]);
    expect(await weights()).toEqual([0.25, 1]);
    const read = step([micro([1, 1], 2), micro([1, 1], 1), micro([1, 1], 2)], { lr: 1 });
    expect([await read.skipped.item(), await read.gradNorm.item()]).toEqual([1, Number.POSITIVE_INFINITY]);
    expect(await weights()).toEqual([0.25, 1]);
    expect(await step(micro([1, 1], 2), { lr: 1 }).lossScale!.item()).toBe(32768);
  });

  test.each([
    [{ initial: 0 }, "lossScaling.initial must be from 2 ** -14 to 2 ** 64, got 0"],
    [{ growth: 0.5 }, "lossScaling.growth must be a finite number from 1, got 0.5"],
    [{ backoff: 1 }, "lossScaling.backoff must be between 0 and 1, got 1"],
    [{ interval: 1.5 }, "lossScaling.interval must be a whole number from 1, got 1.5"],
  ])("%o is refused", (lossScaling, words) => {
    expect(() => parts(device, { precision: "f16", lossScaling })).toThrow(words);
    expect(() => parts(device, { precision: "bf16", lossScaling })).toThrow('lossScaling is for precision "f16", got bf16');
    expect(() => parts(device, { precision: "half" as "f16" }).step(batch([0]), { lr: 1 })).toThrow("must be one of f32, f16, bf16");
  });
});

describe("compiled", () => {
  test.each(["f16", "bf16"] as const)("is eager, bit for bit, in %s: dropout, accumulation, overflow and growth", async (precision) => {
    const how = precision === "f16" ? { precision, lossScaling: { initial: 2 ** 28, interval: 4 } } : { precision };
    const [compiled, eager] = [parts(device, how), parts(device, { ...how, eager: true })];
    let skipped = 0;
    for (let i = 0; i < 30; i++) {
      const batches = i % 3 === 0 ? batch([i, i + 9]) : [batch([i]), batch([i + 40], { ignore: 2 }), batch([i + 7])];
      const [a, b] = [compiled.step(batches, { lr: 0.02 }), eager.step(batches, { lr: 0.02 })];
      for (const name of ["loss", "gradNorm", "skipped", "lossScale"] as const) expect(await a[name]?.item()).toBe(await b[name]?.item());
      skipped += await a.skipped.item();
    }
    expect(await cellsOf(compiled)).toEqual(await cellsOf(eager));
    expect(skipped > 5 && skipped < 25).toBe(precision === "f16");
  });

  test("in steady state nothing is allocated", () => {
    const fresh = reference();
    const made = parts(fresh, { precision: "f16" });
    const figures = () => {
      for (const micro of [batch([0, 9]), [batch([1, 2]), batch([3, 4]), batch([5, 6])]])
        for (const reading of Object.values(made.step(micro, { lr: 0.1 }))) reading.dispose();
      const { live, buffers, allocations } = fresh.memory();
      return { live, buffers, allocations };
    };
    figures();
    const warm = figures();
    for (let i = 0; i < 20; i++) expect(figures()).toEqual(warm);
  });
});

describe("a run", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "x-mixed-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("its checkpoint holds f32 weights and the scale, its metrics the scale of each step", async () => {
    const written: MetricsRecord[] = [];
    const metrics = { write: (record: MetricsRecord) => void written.push(record), close() {} };
    const made = parts(device, { precision: "f16", lossScaling: { interval: 2 } });
    await makeTrainer(device, { steps: 4, metrics, checkpoint: { directory: folder, every: 100 } }, made).trainer.train();
    expect(written.map(({ lossScale }) => Math.log2(lossScale as number))).toEqual([16, 16, 17, 17]);
    expect(await readdir(folder)).toContain("step-00000004");
    const opened = await openTraining(folder);
    const dtypes = [...opened!.readers.model!.tensors.values()].map(({ dtype }) => dtype);
    expect(new Set(dtypes)).toEqual(new Set(["F32"]));
    expect([...(await opened!.readers.state!.values("loss_scale"))]).toEqual([2 ** 18]);
    await opened!.close();
  });

  test("one in f32 refuses it, and says what is too much", async () => {
    const { trainer } = makeTrainer(device, { checkpoint: { directory: folder, every: 100 } });
    await expect(trainer.resume()).rejects.toThrow("loss_scale belongs nowhere; loss_scale.good_steps belongs nowhere");
  });
});
