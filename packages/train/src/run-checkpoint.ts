import { type Json, type OpenTraining, type SavedTensor, type SaveTrainingOptions, saveTraining, type TensorReader } from "@x/checkpoint";
import { type Module, namedCells } from "@x/nn";
import { type Cell, type Device, type Generator, type GeneratorState, show, TensorError } from "@x/tensor";

/** Everything that decides how a run goes on. */
export interface RunState {
  readonly model: Module;
  /** Cells beside the model's: moments, averages, by name. */
  readonly cells: ReadonlyMap<string, Cell>;
  /** Streams of random numbers, by name. */
  readonly generators: Readonly<Record<string, Generator>>;
  readonly device: Device;
}

export interface SaveRunOptions extends SaveTrainingOptions {
  /** The lower the better: the checkpoint with the lowest stays. */
  readonly score?: number | undefined;
}

/** Saves a run at a step, atomically, and returns the path; see `saveTraining`. `json` is the caller's own: configuration, data position. */
export async function saveRun(
  directory: string,
  state: RunState,
  step: number,
  json: { readonly [name: string]: Json },
  { score, ...options }: SaveRunOptions = {},
): Promise<string> {
  const generators: Record<string, Json> = {};
  for (const [name, generator] of Object.entries(state.generators)) generators[name] = { ...(await generator.state()) };
  const tensors = { model: await valuesOf(namedCells(state.model)), state: await valuesOf(state.cells) };
  const kept = { step, tensors, json: { ...json, generators, device: deviceWords(state.device) } };
  return saveTraining(directory, score === undefined ? kept : { ...kept, score }, options);
}

async function valuesOf(cells: ReadonlyMap<string, Cell>): Promise<Map<string, SavedTensor>> {
  const saved = new Map<string, SavedTensor>();
  for (const [name, cell] of cells) saved.set(name, { shape: cell.shape, dtype: cell.dtype, values: await cell.data() });
  return saved;
}

/** How much works at once: work is divided by shape, so no result depends on it. */
const withoutInfluence = new Set(["threads", "shared"]);

/** What runs must share to repeat each other's bits. */
function deviceWords({ name, driver }: Device): Json {
  return { name, caps: Object.fromEntries(Object.entries(driver.caps).filter(([cap]) => !withoutInfluence.has(cap))) };
}

/**
 * Puts a run back where a checkpoint left it. Every cell and every stream must be there, and nothing else: otherwise an error names what does not fit, and nothing
 * is changed. Another device than the checkpoint's is said aloud through `warn`.
 */
export async function restoreRun(checkpoint: OpenTraining, state: RunState, warn: (message: string) => void = console.warn): Promise<void> {
  const json = checkpoint.json as { readonly generators?: Readonly<Record<string, GeneratorState>>; readonly device?: Json };
  const { model, state: others } = checkpoint.readers;
  const groups = [
    { what: "model", reader: model, cells: namedCells(state.model) as ReadonlyMap<string, Cell> },
    { what: "optimizer state", reader: others, cells: state.cells },
  ];
  for (const { what, reader, cells } of groups) expectCells(`${checkpoint.path}: its ${what}`, reader, cells);
  const streams = Object.entries(state.generators);
  for (const [name] of streams)
    if (!json.generators?.[name]) throw new TensorError(`${checkpoint.path}: has no random stream "${name}". Nothing was changed.`);
  for (const { reader, cells } of groups) for (const [name, cell] of cells) cell.write(await reader!.values(name, cell.dtype));
  for (const [name, generator] of streams) generator.restore(json.generators![name]!);
  const [was, is] = [json.device, deviceWords(state.device)].map((words) => JSON.stringify(words));
  if (was !== is) warn(`WARNING: resuming on another device than the checkpoint's (${was} then, ${is} now): not to the same bits.`);
}

function expectCells(who: string, reader: TensorReader | undefined, cells: ReadonlyMap<string, Cell>): void {
  const found = reader?.tensors ?? new Map<string, { readonly shape: readonly number[] }>();
  const unfit = [...cells].flatMap(([name, { shape }]) => {
    const received = found.get(name)?.shape;
    if (received === undefined) return [`${name} is missing`];
    return show(received) === show(shape) ? [] : [`${name} is ${show(received)}, expected ${show(shape)}`];
  });
  const left = [...found.keys()].filter((name) => !cells.has(name)).map((name) => `${name} belongs nowhere`);
  const all = [...unfit, ...left];
  if (all.length === 0) return;
  const shown = all.length > 6 ? `${all.slice(0, 6).join("; ")}; and ${all.length - 6} more` : all.join("; ");
  throw new TensorError(`${who} is not that of this run: ${shown}. Nothing was changed. Resume with the options the run began with.`);
}
