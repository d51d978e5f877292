import { type Json, type OpenTraining, openTraining, type SavedTensor, saveTraining } from "@x/checkpoint";
import { type Module, namedCells } from "@x/nn";
import { type Cell, type Device, type Generator, type GeneratorState, TensorError } from "@x/tensor";

/** Everything that decides how a run goes on. */
export interface RunState {
  readonly model: Module;
  /** Cells beside the model's: moments, averages, by name. */
  readonly cells: ReadonlyMap<string, Cell>;
  /** Streams of random numbers, by name. */
  readonly generators: Readonly<Record<string, Generator>>;
  readonly device: Device;
}

async function saved(cells: ReadonlyMap<string, Cell>): Promise<Map<string, SavedTensor>> {
  const out = new Map<string, SavedTensor>();
  for (const [name, cell] of cells) out.set(name, { shape: cell.shape, dtype: cell.dtype, values: await cell.data() });
  return out;
}

/** Saves a run at a step, atomically; see `saveTraining`. `json` is the caller's own: configuration, data position, best loss. */
export async function saveRun(
  directory: string,
  state: RunState,
  step: number,
  json: { readonly [name: string]: Json },
  { keep = 2, score }: { keep?: number; score?: number | undefined } = {},
): Promise<string> {
  const generators: Record<string, Json> = {};
  for (const [name, generator] of Object.entries(state.generators)) generators[name] = { ...(await generator.state()) } as unknown as Json;
  const tensors = { model: await saved(namedCells(state.model)), state: await saved(state.cells) };
  return saveTraining(
    directory,
    { step, tensors, json: { ...json, generators, device: deviceWords(state.device) }, ...(score !== undefined && { score }) },
    { keep },
  );
}

/** What runs must share to repeat each other's bits. */
const deviceWords = (device: Device): Json => ({ name: device.name, caps: { ...device.driver.caps } }) as Json;

/** Puts a run back where a checkpoint left it. Every tensor must be there with its shape, or nothing is changed. */
export async function restoreRun(checkpoint: OpenTraining, state: RunState, warn: (message: string) => void = console.warn): Promise<void> {
  const json = checkpoint.json as { generators?: Record<string, GeneratorState>; device?: Json };
  const groups = [
    { reader: checkpoint.readers.model, cells: namedCells(state.model) as ReadonlyMap<string, Cell>, what: "model" },
    { reader: checkpoint.readers.state, cells: state.cells, what: "optimizer state" },
  ];
  for (const { reader, cells, what } of groups) {
    const missing = [...cells]
      .filter(([name, cell]) => String(reader?.tensors.get(name)?.shape) !== String(cell.shape))
      .map(([name]) => name);
    const unused = [...(reader?.tensors.keys() ?? [])].filter((name) => !cells.has(name));
    if (missing.length + unused.length > 0)
      throw new TensorError(
        `${checkpoint.path}: its ${what} is not that of this run. Missing or of another shape: ${missing.join(", ") || "none"}; not used: ${unused.join(", ") || "none"}. Resume with the options the run began with.`,
      );
  }
  for (const { reader, cells } of groups) for (const [name, cell] of cells) cell.write(await reader!.values(name, cell.dtype));
  for (const [name, generator] of Object.entries(state.generators)) {
    const was = json.generators?.[name];
    if (!was) throw new TensorError(`${checkpoint.path}: has no random stream "${name}".`);
    generator.restore(was);
  }
  if (JSON.stringify(json.device) !== JSON.stringify(deviceWords(state.device)))
    warn(
      `Resuming on another device or build than the checkpoint's (${JSON.stringify(json.device)} then, ${JSON.stringify(deviceWords(state.device))} now): the run goes on, but not to the same bits.`,
    );
}

export { openTraining as openRun };
