import { describe, expect, test } from "vitest";
import { statusOf } from "../src/page/run-view.ts";
import { deviceWords } from "../src/page/setup-view.ts";
import type { RunWords } from "../src/protocol.ts";
import { type Event, initial, reduce, type State, speedOf, stepOf } from "../src/state.ts";

const run: RunWords = {
  ...{ preset: "gpt-tiny", device: "wasm", text: "T", characters: 9, vocabSize: 3, numParameters: 7, numLayers: 2, numHeads: 2 },
  ...{ step: 0, steps: 50, notes: [] },
};
const begun: Event = { type: "begun", run, paused: false };
const memory = { live: 1, pooled: 0, peak: 1, buffers: 1, allocations: 1, reclaimed: 0 };
const wasm = { id: "wasm", title: "Processor", words: "2 threads", available: true };
const ready: Event = { type: "ready", devices: [wasm], kept: undefined, sources: { name: "S", characters: 9, files: 1 } };
const step = (step: number, tokensPerSecond = 100): Event => ({
  type: "steps",
  records: [{ step, loss: 4 - step, tokensPerSecond }],
  memory,
});
const after = (...events: Event[]): State => events.reduce(reduce, initial);

describe("a run", () => {
  test("collects its steps, and begins empty again", () => {
    const state = after(ready, begun, step(1), step(2), { type: "evaluated", step: 2, valLoss: 3 });
    expect(state.records.map(({ step }) => step)).toEqual([1, 2]);
    expect(stepOf(state)).toBe(2);
    expect(reduce(state, { type: "begun", run: { ...run, step: 7 }, paused: false })).toMatchObject({
      records: [],
      evaluations: [],
      phase: "training",
    });
  });

  test("of many steps keeps the first, the last, and half of those between", () => {
    const records = Array.from({ length: 16_001 }, (_, i) => ({ step: i + 1, loss: 1, tokensPerSecond: 100 }));
    const { records: kept } = after({ type: "steps", records, memory });
    expect(kept.length).toBeLessThan(8200);
    expect([kept[0], kept[1], kept.at(-2), kept.at(-1)].map((record) => record!.step)).toEqual([1, 3, 16_000, 16_001]);
  });

  test("an evaluation of a step takes the place of the one before", () => {
    const state = after({ type: "evaluated", step: 2, valLoss: 3 }, { type: "evaluated", step: 2, valLoss: 3 });
    expect(state.evaluations).toEqual([{ step: 2, valLoss: 3 }]);
  });

  test("the speed weighs steps by their time", () => {
    expect(speedOf(initial)).toBeUndefined();
    expect(speedOf(after(step(1, 100), step(2, 300)))).toBeCloseTo(150);
  });

  test("says in words where it stands", () => {
    const events: Event[] = [ready, { type: "asked", command: "start" }, begun, { type: "paused", step: 3 }];
    const said = events.map((_, i) => statusOf(after(...events.slice(0, i + 1))));
    expect(said).toEqual(["Ready", "Preparing", "Training: GPT, tiny on “T”, Processor", "Paused: GPT, tiny on “T”, Processor"]);
  });

  test("that goes on from a checkpoint waits to be resumed", () => {
    expect(after(ready, { type: "begun", run, paused: true }, { type: "resumed" }).phase).toBe("training");
    expect(after(ready, { type: "begun", run, paused: true }).phase).toBe("paused");
  });

  test("what is to be known of it is said", () => {
    const note = "The run read another text before.";
    expect(after({ type: "begun", run: { ...run, notes: [note] }, paused: false }).notice).toEqual({ kind: "note", words: note });
  });
});

test("says what the chosen device is and why others cannot be had", () => {
  const devices = [wasm, { id: "webgpu", title: "Graphics card", words: "none here", available: false }, { ...wasm, id: "other" }];
  expect(deviceWords(devices, "wasm")).toBe("2 threads. Graphics card: none here.");
});

describe("failures", () => {
  const failed = (command: "open" | "training", ended: boolean): Event => ({
    type: "failed",
    command,
    words: "W",
    kept: ended ? 40 : undefined,
    ended,
  });

  test("a command that fails leaves the run as it was and frees the buttons", () => {
    const state = after(ready, begun, { type: "asked", command: "open" }, failed("open", false));
    expect(state).toMatchObject({ phase: "training", waiting: undefined, notice: { kind: "error", words: "W" } });
  });

  test("a failure of another command does not answer the one that is awaited", () => {
    const state = after(
      ready,
      { type: "asked", command: "save" },
      { type: "failed", command: "look", words: "W", kept: undefined, ended: false },
    );
    expect(state.waiting).toBe("save");
  });

  test("a run that broke down can go on from what is kept", () => {
    expect(after(ready, begun, failed("training", true))).toMatchObject({ phase: "ended", notice: { kept: 40 } });
  });

  test("after a crash the next worker says what is kept", () => {
    const crashed = after(ready, begun, { type: "crashed", words: "C" });
    expect(crashed).toMatchObject({ ready: undefined, phase: "ended" });
    const again = reduce(crashed, { ...ready, kept: { step: 12, preset: "gpt-tiny", text: "T" } } as Event);
    expect(again.notice).toEqual({ kind: "error", words: "C", kept: 12 });
  });

  test("a new question puts an old notice away", () => {
    expect(after({ type: "told", words: "W" }, { type: "asked", command: "start" }).notice).toBeUndefined();
  });
});

test("a browser that keeps a run offers it", () => {
  const state = reduce(initial, { ...ready, kept: { step: 1200, preset: "gpt-tiny", text: "T" } } as Event);
  expect(state.notice).toEqual({ kind: "note", words: "This browser keeps a run on “T”, at step 1,200.", kept: 1200 });
});
