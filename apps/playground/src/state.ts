import type { MemoryFigures } from "@x/tensor";
import type { AttentionWords, Command, DeviceWords, KeptWords, Report, RunWords, StepWords } from "./protocol.ts";

/** Where the run on the page stands. */
export type Phase = "none" | "training" | "paused" | "finished" | "ended";

/** Everything the page shows. */
export interface State {
  /** What there is to choose from; undefined until the worker has said. */
  readonly ready: Extract<Report, { type: "ready" }> | undefined;
  readonly phase: Phase;
  /** What the worker was asked and has not answered yet. */
  readonly waiting: Command["type"] | undefined;
  readonly run: RunWords | undefined;
  /** The last run that a checkpoint began: the form takes its choices over. */
  readonly opened: RunWords | undefined;
  /** Steps done, the last ones all of them. */
  readonly records: readonly StepWords[];
  readonly evaluations: readonly { readonly step: number; readonly valLoss: number }[];
  readonly memory: MemoryFigures | undefined;
  /** The newest first. */
  readonly samples: readonly Extract<Report, { type: "sampled" }>[];
  readonly attention: AttentionWords | undefined;
  readonly notice: Notice | undefined;
}

/** Something to be read: what went wrong, or what should be known. `kept` is the step from which a run can go on. */
export interface Notice {
  readonly kind: "error" | "note";
  readonly words: string;
  readonly kept?: number | undefined;
}

export const initial: State = {
  ...{ ready: undefined, phase: "none", waiting: undefined, run: undefined, opened: undefined, records: [] },
  ...{ evaluations: [], memory: undefined, samples: [], attention: undefined, notice: undefined },
};

/** What happens: the worker reports, the page asks, the worker itself breaks down, a notice is put away. */
export type Event =
  | Report
  | { readonly type: "asked"; readonly command: Command["type"] }
  | { readonly type: "crashed"; readonly words: string }
  | { readonly type: "told"; readonly words: string }
  | { readonly type: "dismissed" };

/** Samples that stay to be compared. */
const shownSamples = 12;

type Reducers = { readonly [T in Event["type"]]: (state: State, event: Extract<Event, { type: T }>) => Partial<State> };

/** Questions that the page waits for: until they are answered, their buttons rest. */
const awaited: ReadonlySet<Command["type"]> = new Set(["start", "open", "recover", "pause", "save"]);

const reducers: Reducers = {
  asked: ({ waiting }, { command }) => (awaited.has(command) ? { waiting: command, notice: undefined } : { waiting }),
  ready: ({ phase, notice }, ready) => ({
    ready,
    ...(phase === "none" && ready.kept && { notice: offer(ready.kept) }),
    ...(phase === "ended" && notice && { notice: { ...notice, kept: ready.kept?.step } }),
  }),
  begun: ({ opened }, { run, paused }) => ({
    opened: paused ? run : opened,
    ...{ run, phase: paused ? "paused" : "training", waiting: undefined, records: [], evaluations: [], memory: undefined, samples: [] },
    ...{ attention: undefined, notice: run.notes.length > 0 ? { kind: "note", words: run.notes.join(" ") } : undefined },
  }),
  steps: (state, { records, memory }) => ({ records: thinned([...state.records, ...records]), memory }),
  evaluated: ({ evaluations }, { step, valLoss }) => ({
    evaluations: [...evaluations.filter((each) => each.step !== step), { step, valLoss }],
  }),
  sampled: ({ samples }, sample) => ({ samples: [sample, ...samples].slice(0, shownSamples) }),
  looked: (_, { type, ...attention }) => ({ attention }),
  paused: (state) => ({ phase: "paused", ...answered(state, "pause") }),
  resumed: () => ({ phase: "training" }),
  finished: (state) => ({ phase: "finished", ...answered(state, "pause") }),
  saved: (state) => answered(state, "save"),
  failed: (state, { command, words, kept, ended }) => ({
    ...{ notice: { kind: "error", words, kept }, phase: ended ? "ended" : state.phase },
    waiting: ended || state.waiting === command ? undefined : state.waiting,
  }),
  crashed: (_, { words }) => ({ phase: "ended", waiting: undefined, ready: undefined, notice: { kind: "error", words } }),
  told: (_, { words }) => ({ notice: { kind: "error", words } }),
  dismissed: () => ({ notice: undefined }),
};

/** More steps than a screen has pixels are not seen: beyond that, every second one goes. The last ones say how fast the run is, and stay. */
const shownSteps = 16_000;
const thinned = (records: readonly StepWords[]): readonly StepWords[] =>
  records.length <= shownSteps ? records : records.filter((_, i) => i % 2 === 0 || i >= records.length - 200);

const answered = ({ waiting }: State, command: Command["type"]): Partial<State> => ({ waiting: waiting === command ? undefined : waiting });

const offer = ({ step, text }: KeptWords): Notice => ({
  kind: "note",
  words: `This browser keeps a run on “${text}”, at step ${step.toLocaleString("en")}.`,
  kept: step,
});

/** The state after an event. */
export function reduce(state: State, event: Event): State {
  const change = (reducers[event.type] as (state: State, event: Event) => Partial<State>)(state, event);
  return { ...state, ...change };
}

/** Steps done. */
export const stepOf = ({ run, records }: State): number => records.at(-1)?.step ?? run?.step ?? 0;

/** Tokens a second over the last steps. */
export function speedOf({ records }: State): number | undefined {
  const recent = records.slice(-100);
  // Steps have the same number of tokens, so their times are what is to be averaged.
  const times = recent.reduce((sum, { tokensPerSecond }) => sum + 1 / tokensPerSecond, 0);
  return recent.length === 0 ? undefined : recent.length / times;
}

/** The device of the run as the page calls it. */
export const deviceTitle = ({ ready }: State, id: string): string =>
  ready?.devices.find((device: DeviceWords) => device.id === id)?.title ?? id;
