import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openTraining } from "@x/checkpoint";
import { currentGenerator, reference } from "@x/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type MetricsRecord, type StepRecord, Trainer } from "../src/index.ts";
import { diskThatFails } from "./failing-disk.ts";
import { cellsOf, makeTrainer, parts } from "./support.ts";

const device = reference();
let folder = "";
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "x-trainer-"));
});
afterAll(() => rm(folder, { recursive: true }));
const fresh = () => join(folder, String(count++));

describe("exact resume", () => {
  /** Everything a checkpoint holds, byte for byte; the serial number of the save is not the run's. */
  async function bytes(directory: string): Promise<Record<string, unknown>> {
    const opened = await openTraining(directory);
    await opened!.close();
    const files = await Promise.all(["model", "state"].map((name) => readFile(`${opened!.path}/${name}.safetensors`, "base64")));
    return { files, step: opened!.step, json: opened!.json };
  }

  test("what runs before each step draws from the step's stream, and a resumed run draws what the whole one draws", async () => {
    const run = async (directory: string, stops: readonly number[]) => {
      const seen: number[] = [];
      for (const [i, stop] of stops.entries()) {
        const made = parts(device, { seed: i === 0 ? 5 : 1000 });
        const beforeStep = (step: number) => {
          seen.push(step);
          made.model.head.bias!.write(currentGenerator("test").hostUniform(11));
        };
        const { trainer } = makeTrainer(device, { steps: stop, beforeStep, checkpoint: { directory, every: 100 } }, made);
        expect(await trainer.resume()).toBe(i > 0);
        await trainer.train();
      }
      expect(seen).toEqual([0, 1, 2, 3, 4]);
      return bytes(directory);
    };
    expect(await run(fresh(), [2, 5])).toEqual(await run(fresh(), [5]));
  });

  const f16 = { precision: "f16", lossScaling: { initial: 2 ** 22, interval: 2 } } as const;
  test.each([
    ["f32", {}],
    ["f16, whose loss scale moves", f16],
  ] as const)(
    "N steps are k steps, another trainer, and N - k steps, bit for bit: weights, moments, streams, data, evaluations; %s",
    async (_, mixed) => {
      const options = { steps: 9, accumulate: 2, evaluate: { every: 4, run: async () => 0.5 } };
      const [one, two] = [fresh(), fresh()];
      const whole = makeTrainer(device, { ...options, checkpoint: { directory: one, every: 100 } }, parts(device, mixed));
      const { losses } = await whole.trainer.train();

      const halves: number[] = [];
      for (const stop of [3, 4, 9]) {
        const signal = new AbortController();
        const part = makeTrainer(
          device,
          {
            ...options,
            checkpoint: { directory: two, every: 100 },
            signal: signal.signal,
            onStep: ({ step }) => step === stop && step < 9 && signal.abort(),
          },
          // Another seed: what the checkpoint holds must decide, not how the parts were made.
          parts(device, stop === 3 ? mixed : { ...mixed, seed: 1000 + stop }),
        );
        expect(await part.trainer.resume()).toBe(stop !== 3);
        halves.push(...(await part.trainer.train()).losses.map(({ loss }) => loss));
      }
      expect(halves).toEqual(losses.map(({ loss }) => loss));
      expect(await bytes(two)).toEqual(await bytes(one));
    },
  );

  test("a checkpoint of another model is refused, and nothing is changed", async () => {
    const directory = fresh();
    await makeTrainer(device, { steps: 2, checkpoint: { directory, every: 1 } }).trainer.train();
    const other = parts(device);
    const wide = { ...other, optimizer: { ...other.optimizer, states: () => new Map([...other.optimizer.states()].slice(1)) } };
    const { trainer, batches } = makeTrainer(device, { checkpoint: { directory, every: 1 } }, wide);
    const before = [await cellsOf(other), batches.state()];
    await expect(trainer.resume()).rejects.toThrow(
      /step-00000002: its optimizer state is not that of this run: step belongs nowhere\. Nothing was changed/,
    );
    expect([await cellsOf(other), batches.state()]).toEqual(before);
  });

  test("other data is refused by name", async () => {
    const directory = fresh();
    await makeTrainer(device, { steps: 2, checkpoint: { directory, every: 1 } }).trainer.train();
    const { trainer } = makeTrainer(device, { seed: 6, checkpoint: { directory, every: 1 } });
    await expect(trainer.resume()).rejects.toThrow("seed is another one: the run had seed 5, now it is 6");
  });

  test("without a checkpoint there is nothing to resume", async () => {
    expect(await makeTrainer(device, { checkpoint: { directory: fresh(), every: 1 } }).trainer.resume()).toBe(false);
    await expect(makeTrainer(device).trainer.resume()).rejects.toThrow("has no checkpoint directory");
  });
});

describe("interruption", () => {
  test("finishes the step, saves, and says so", async () => {
    const signal = new AbortController();
    const directory = fresh();
    const { trainer } = makeTrainer(device, {
      checkpoint: { directory, every: 100 },
      signal: signal.signal,
      onStep: ({ step }) => step === 5 && signal.abort(),
    });
    const result = await trainer.train();
    expect(result).toMatchObject({ step: 5, interrupted: true, checkpoint: `${directory}/step-00000005` });
    expect(trainer.tokens).toBe(75);
  });

  test("comes through although the device never makes it wait", async () => {
    const signal = new AbortController();
    setTimeout(() => signal.abort(), 1);
    const { trainer } = makeTrainer(device, { steps: 2000, signal: signal.signal });
    expect((await trainer.train()).interrupted).toBe(true);
  });

  test("an evaluation that was broken off is made up for by the resumed run, once", async () => {
    const directory = fresh();
    const signal = new AbortController();
    const run = async (stopped?: AbortSignal) => (stopped?.aborted ? undefined : 2);
    const seen: number[] = [];
    const options = { steps: 6, checkpoint: { directory, every: 100 }, onEvaluation: ({ step }: { step: number }) => void seen.push(step) };
    const onStep = ({ step }: StepRecord) => step === 3 && signal.abort();
    await makeTrainer(device, { ...options, evaluate: { every: 3, run }, signal: signal.signal, onStep }).trainer.train();
    expect(seen).toEqual([]);
    for (let again = 0; again < 2; again++) {
      const { trainer } = makeTrainer(device, { ...options, evaluate: { every: 3, run } });
      await trainer.resume();
      expect(await trainer.train()).toMatchObject({ interrupted: false, evaluation: { step: 6, valLoss: 2 } });
    }
    expect(seen).toEqual([3, 6]);
  });
});

test("the step is compiled ahead, once, for the batches it will get", async () => {
  const made = parts(device);
  const called: string[] = [];
  const count = (batches: unknown) => (Array.isArray(batches) ? batches.length : 1);
  const step = Object.assign(
    (...given: Parameters<typeof made.step>) => {
      called.push(`step ${count(given[0])}`);
      return made.step(...given);
    },
    made.step,
    {
      async prepare(batches: Parameters<typeof made.step>[0]) {
        await made.step.prepare(batches);
        called.push(`prepared ${count(batches)}`);
      },
    },
  );
  const whole = makeTrainer(device, { steps: 3, accumulate: 2 });
  const { trainer } = makeTrainer(device, { steps: 3, accumulate: 2, step }, made);
  const { losses } = await trainer.train();
  expect(called).toEqual(["prepared 2", "step 2", "step 2", "step 2"]);
  expect(losses).toEqual((await whole.trainer.train()).losses);
});

describe("what listens", () => {
  test("metrics, progress and callbacks get every step and evaluation, in order", async () => {
    const written: MetricsRecord[] = [];
    const said: string[] = [];
    const { trainer } = makeTrainer(device, {
      steps: 4,
      evaluate: { every: 3, run: async () => 1.25 },
      metrics: { write: (record) => void written.push(record), close() {} },
      progress: {
        update: ({ step }) => void said.push(`step ${step}`),
        log: (text) => void said.push(text),
        end: () => void said.push("end"),
      },
    });
    const { losses } = await trainer.train();
    expect(written.map(({ step, valLoss }) => valLoss ?? step)).toEqual([1, 2, 3, 1.25, 4, 1.25]);
    expect(written[0]).toEqual({
      ...losses[0],
      lr: 0.05,
      gradNorm: expect.any(Number),
      skipped: false,
      tokensPerSecond: expect.any(Number),
    });
    expect(said).toEqual([
      "step 1",
      "step 2",
      "step 3",
      "step 3: validation loss 1.2500",
      "step 4",
      "step 4: validation loss 1.2500",
      "end",
    ]);
  });

  test("one that fails ends the run, which is saved first", async () => {
    const directory = fresh();
    const write = ({ step }: MetricsRecord) => {
      if (step === 3) throw new Error("metrics: m.jsonl cannot be written");
    };
    const { trainer } = makeTrainer(device, { checkpoint: { directory, every: 100 }, metrics: { write, close() {} } });
    await expect(trainer.train()).rejects.toThrow("m.jsonl cannot be written");
    expect(await readdir(directory)).toContain("step-00000003");
  });
});

describe("checkpoints", () => {
  test("the newest stay, and the one with the best validation loss; a loss of another step is no score", async () => {
    const directory = fresh();
    const values = [5, 1, Number.NaN, 3];
    const { trainer } = makeTrainer(device, {
      steps: 8,
      evaluate: { every: 2, run: async () => values.shift()! },
      checkpoint: { directory, every: 1, keep: 1 },
    });
    await trainer.train();
    expect((await readdir(directory)).sort()).toEqual(["latest", "step-00000004", "step-00000008"]);
  });

  test.each([2, 9, 15])(
    "a disk that is full at write %i of a save: a clear error, the checkpoint before intact, the run can go on",
    async (at) => {
      const directory = fresh();
      const disk = diskThatFails();
      const options = { steps: 6, checkpoint: { directory, every: 2, files: disk.files } };
      const { trainer } = makeTrainer(device, { ...options, onStep: ({ step }) => step === 4 && disk.failAt(at) });
      await expect(trainer.train()).rejects.toThrow(
        /step 4 was not saved: while .*no space is left on the disk \(ENOSPC\)\. The previous checkpoint, .*step-00000002, is intact/,
      );
      disk.failAt(undefined);
      const again = makeTrainer(device, options, parts(device, { seed: 8 }));
      expect(await again.trainer.resume()).toBe(true);
      expect(again.trainer.step).toBe(2);
      const whole = makeTrainer(device, { steps: 6 });
      await Promise.all([again.trainer.train(), whole.trainer.train()]);
      expect(await cellsOf(again)).toEqual(await cellsOf(whole));
    },
  );
});

describe("bad runs", () => {
  test("a loss that stays NaN ends the run with a word; a single one does not", async () => {
    const broken = (from: number, to: number) => {
      const made = makeTrainer(device, { maxSkipped: 3 }, parts(device, { dropout: 0 }));
      const { weight } = made.model.head;
      let kept: ArrayLike<number> = [];
      const schedule = (step: number) => {
        if (step === to) weight.write(kept);
        return 0.01;
      };
      const batches = made.batches;
      const next = async () => {
        if (made.trainer.step === from) {
          kept = await weight.data();
          weight.write(Array.from(kept, () => Number.NaN));
        }
        return batches.next();
      };
      const wrapped = { next, state: () => batches.state(), resume: (state: ReturnType<typeof batches.state>) => batches.resume(state) };
      made.trainer = makeTrainer(device, { batches: wrapped, schedule, steps: 8, maxSkipped: 3 }, made).trainer;
      return made.trainer;
    };
    await expect(broken(2, 99).train()).rejects.toThrow(
      /not finite in 3 steps in a row, the last of them step 5 \(loss NaN\); none of them updated/,
    );
    const { losses } = await broken(2, 4).train();
    expect(losses.map(({ loss }) => Number.isFinite(loss))).toEqual([true, true, false, false, true, true, true, true]);
  });

  test("options that make no sense are refused by name", () => {
    expect(() => makeTrainer(device, { steps: 0 })).toThrow("Trainer: steps must be a whole number from 1, got 0");
    expect(() => makeTrainer(device, { accumulate: 1.5 })).toThrow("Trainer: accumulate must be");
    expect(() => makeTrainer(device, { checkpoint: { directory: "x", every: -1 } })).toThrow("Trainer: checkpoint.every must be");
    expect(Trainer.length).toBe(1);
  });
});
