import { describe, expect, test } from "vitest";
import { knownParts, misfit, partsOf, partsWords } from "../src/model-parts.ts";
import { statusOf } from "../src/page/run-view.ts";
import { deviceWords } from "../src/page/setup-view.ts";
import { presetOf } from "../src/presets.ts";
import type { RunWords } from "../src/protocol.ts";
import { type Event, initial, reduce, type State, speedOf, stepOf } from "../src/state.ts";

const run: RunWords = {
  ...{ preset: "gpt-tiny", parts: {}, device: "wasm", text: "T", characters: 9, vocabSize: 3, numParameters: 7, numLayers: 2, numHeads: 2 },
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
    const events: Event[] = [ready, { type: "asked", command: "start" }, begun, step(1), { type: "paused", step: 3 }];
    const said = events.map((_, i) => statusOf(after(...events.slice(0, i + 1))));
    const what = "GPT, tiny on “T”, Processor";
    expect(said).toEqual(["Ready", "Preparing", `Compiling the first step: ${what}`, `Training: ${what}`, `Paused: ${what}`]);
  });

  test("that goes on from a checkpoint waits to be resumed", () => {
    expect(after(ready, { type: "begun", run, paused: true }, { type: "resumed" }).phase).toBe("training");
    expect(after(ready, { type: "begun", run, paused: true }).phase).toBe("paused");
  });

  test("that goes on from a checkpoint hands its choices to the form; a new one does not", () => {
    const other: RunWords = { ...run, parts: { mixer: "bigbird" } };
    expect(after(begun).opened).toBeUndefined();
    const state = after({ type: "begun", run: other, paused: true }, begun);
    expect(state).toMatchObject({ run: { parts: {} }, opened: { parts: { mixer: "bigbird" } } });
  });

  test("of other parts than GPT-2's names them", () => {
    const parts = { mixer: "longformer", position: "alibi", norm: "rms", numKvHeads: 1 } as const;
    expect(statusOf(after(ready, { ...begun, run: { ...run, parts } }, step(1)))).toBe(
      "Training: GPT, tiny with Longformer, ALiBi, RMSNorm, 1 head of keys on “T”, Processor",
    );
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

describe("the parts of a model", () => {
  const preset = presetOf("gpt-baby")!;
  const gpt2 = { mixer: "dense", position: "learned", norm: "layer", residual: "pre" };

  test("are none where all are GPT-2's", () => {
    expect(partsOf(gpt2, undefined, preset)).toEqual({});
    expect(partsOf(gpt2, 4, preset)).toEqual({});
    expect(partsOf({ ...gpt2, position: "t5", residual: "deep" }, 2, preset)).toEqual({ position: "t5", residual: "deep", numKvHeads: 2 });
  });

  test("have names", () => {
    expect(partsWords({})).toBe("");
    expect(partsWords({ mixer: "xl", position: "xl", residual: "sandwich", numKvHeads: 2 })).toBe(
      "Transformer-XL, Relative (XL), Sandwich, 2 heads of keys",
    );
  });

  test("that do not fit are said", () => {
    for (const numKvHeads of [1, 2, 4]) expect(misfit({ numKvHeads }, preset)).toBeUndefined();
    expect(misfit({ norm: "rms" }, preset)).toBeUndefined();
    for (const numKvHeads of [3, 0, 8, -2, 1.5])
      expect(misfit({ numKvHeads }, preset)).toBe(
        `The 4 heads of GPT, baby cannot share ${numKvHeads} of keys and values. Choose 1, 2 or 4.`,
      );
  });

  test("that this page does not have are named", () => {
    expect(knownParts(undefined)).toEqual({});
    expect(knownParts({ mixer: "performer", numKvHeads: 2 })).toEqual({ mixer: "performer", numKvHeads: 2 });
    expect(knownParts({ mixer: "toString" })).toEqual({ unknown: 'mixer "toString"' });
    expect(knownParts({ experts: 8 })).toEqual({ unknown: "experts 8" });
    expect(knownParts({ numKvHeads: "2" })).toEqual({ unknown: 'numKvHeads "2"' });
    expect(knownParts("dense")).toEqual({ unknown: 'parts "dense"' });
  });
});
