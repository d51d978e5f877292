import { wasm } from "@x/kernels-wasm";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { ModelParts } from "../src/model-parts.ts";
import type { Command, Report } from "../src/protocol.ts";
import { Host } from "../src/worker/host.ts";

/** Devices that were opened, the last one first; each can be made to go away. */
const opened = vi.hoisted(() => ({ lose: [] as ((error: Error) => void)[], refuse: false }));
vi.mock("../src/worker/device.ts", () => ({
  async openDevice(_: string, lost: (error: Error) => void) {
    if (opened.refuse) throw new Error("no device today");
    const device = await wasm({ threads: 1 });
    const { driver } = device;
    const read = driver.read.bind(driver);
    let gone: Error | undefined;
    driver.read = async (...place) => {
      if (gone) throw gone;
      return read(...place);
    };
    opened.lose.unshift((error) => {
      gone = error;
      lost(error);
    });
    return device;
  },
}));

type Of<T extends Report["type"]> = Extract<Report, { type: T }>;

/** A host, what it has reported, and a way to wait for what it reports next. */
function hosted() {
  const reports: Report[] = [];
  let wake = () => {};
  const host = new Host((report) => {
    reports.push(report);
    wake();
  });
  let seen = 0;
  const next = async <T extends Report["type"]>(type: T): Promise<Of<T>> => {
    for (;;) {
      for (; seen < reports.length; seen++) if (reports[seen]!.type === type) return reports[seen++] as Of<T>;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { ask: (command: Command) => host.handle(command), next, reports };
}

const text = { kind: "own", name: "T", text: "the cat sat on the mat.\n".repeat(100) } as const;
const start = (steps: number): Command => ({ type: "start", preset: "gpt-tiny", parts: {}, device: "any", text, steps, seed: 1 });

beforeEach(() => {
  opened.refuse = false;
});

describe("a device that goes away", () => {
  test("in the midst of training: the run can go on from what was kept, and ends as if nothing had been", async () => {
    const { ask, next, reports } = hosted();
    const lastLoss = () => reports.filter((report) => report.type === "evaluated").at(-1);
    await ask(start(150));
    await next("finished");
    const expected = lastLoss();
    expect(expected).toMatchObject({ step: 150 });
    await ask(start(150));
    await next("steps");
    await ask({ type: "pause" });
    const { step } = await next("paused");
    await ask({ type: "resume" });
    opened.lose[0]!(new Error("the device was reset"));
    expect(await next("failed")).toEqual({ type: "failed", command: "training", words: "the device was reset", kept: step, ended: true });
    await ask({ type: "recover", device: "any" });
    expect(await next("begun")).toMatchObject({ run: { step, steps: 150, text: "T" }, paused: true });
    expect(await next("evaluated")).toMatchObject({ step });
    await ask({ type: "resume" });
    await next("finished");
    expect(lastLoss()).toEqual(expected);
  });

  test("while paused: the same", async () => {
    const { ask, next } = hosted();
    await ask(start(500));
    await next("steps");
    await ask({ type: "pause" });
    const { step } = await next("paused");
    opened.lose[0]!(new Error("unplugged"));
    expect(await next("failed")).toMatchObject({ words: "unplugged", kept: step, ended: true });
    await ask({ type: "pause" });
    expect(await next("failed")).toMatchObject({ command: "pause", words: expect.stringContaining("Start a run first"), ended: false });
  });
});

describe("parts other than GPT-2's", () => {
  const chosen: ModelParts[] = [
    { mixer: "longformer", position: "alibi", norm: "rms" },
    { mixer: "performer", position: "rope", numKvHeads: 1 },
    { mixer: "bigbird", position: "t5", residual: "deep" },
    { mixer: "xl", position: "xl", residual: "post" },
  ];
  test.each(chosen)("%j: train, write, show what they look at, and go on from their file to the same bits", async (parts) => {
    const { ask, next, reports } = hosted();
    const begin = { ...start(100), parts } as Command;
    await ask(begin);
    expect(await next("begun")).toMatchObject({ run: { parts } });
    await next("finished");
    const expected = reports.filter((report) => report.type === "evaluated").at(-1);
    const { blocks, weights, tokens } = await next("looked");
    expect(weights).toHaveLength(tokens.length ** 2);
    expect(blocks).toMatchObject({ length: 32, size: parts.mixer === "bigbird" ? 4 : 2 });
    // Less than a causal map has.
    const count = Math.sqrt(blocks.times.length);
    const sparse = blocks.times.filter((times) => times !== 0).length < (count * (count + 1)) / 2;
    expect(sparse).toBe(parts.mixer === "longformer" || parts.mixer === "bigbird");

    await ask(begin);
    await ask({ type: "pause" });
    await next("paused");
    await ask({ type: "save" });
    const { file, name } = await next("saved");
    await ask({ type: "open", file, name, device: "any", text });
    expect(await next("begun")).toMatchObject({ run: { parts, steps: 100 }, paused: true });
    await ask({ type: "resume" });
    await next("finished");
    expect(expected).toMatchObject({ step: 100 });
    expect(reports.filter((report) => report.type === "evaluated").at(-1)).toEqual(expected);
  });

  test("that make no model are refused with words", async () => {
    const { ask, next } = hosted();
    await ask({ ...start(24), parts: { numKvHeads: 3 } } as Command);
    expect(await next("failed")).toMatchObject({ words: expect.stringContaining("numHeads 2 must be a multiple of numKvHeads 3") });
  });
});

test("a start that fails leaves the run that is there, which goes on", async () => {
  const { ask, next } = hosted();
  await ask(start(150));
  await next("steps");
  opened.refuse = true;
  await ask(start(150));
  expect(await next("failed")).toMatchObject({ command: "start", words: "no device today", ended: false });
  opened.refuse = false;
  await ask({ ...start(150), text: { ...text, text: "short" } } as Command);
  expect(await next("failed")).toMatchObject({ command: "start", words: expect.stringContaining("a window of context 32"), ended: false });
  await next("finished");
  const { text: written } = await next("sampled");
  expect(written.length).toBeGreaterThan(100);
});

test("a prompt that the model cannot read is refused with words, and the next sample has the one before", async () => {
  const { ask, next } = hosted();
  await ask(start(20));
  expect(await next("sampled")).toMatchObject({ step: 20, prompt: "the " });
  await ask({ type: "sample", prompt: "Ü", temperature: 1 });
  expect(await next("failed")).toMatchObject({ command: "sample", words: expect.stringContaining('"Ü"') });
  await ask({ type: "sample", prompt: "a mat", temperature: 0 });
  expect(await next("sampled")).toMatchObject({ prompt: "a mat" });
});
