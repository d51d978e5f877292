import { crc32, localFiles } from "#platform";
import { CheckpointError, reasonOf, show } from "../errors.ts";
import type { FileSystem } from "../files.ts";
import { type SavedTensors, writeSafetensors } from "../safetensors/write.ts";
import type { Sink } from "../sink.ts";
import { listDirectory, listSaved, nameOfStep, removeSaved, type Saved, unfinished } from "./directory.ts";
import { checkJson, encodeManifest, type FileRecord, type Json } from "./manifest.ts";

/** What is kept of a training run at one step. */
export interface TrainingState {
  /** Steps done. */
  readonly step: number;
  /** Tensors by file: `{ model, state }` become `model.safetensors` and `state.safetensors`. */
  readonly tensors: Readonly<Record<string, SavedTensors>>;
  /** Whatever else resuming needs: schedule, data position, configuration, names of device, build and tuning table. */
  readonly json: Json;
  /** The lower the better (a validation loss): the checkpoint with the lowest is never removed. */
  readonly score?: number;
}

export interface SaveTrainingOptions {
  /** Newest checkpoints that stay, beside the one with the best score. Default 3. */
  readonly keep?: number;
  readonly files?: FileSystem;
  /** Told what went wrong after the checkpoint was safe. Default console.warn. */
  readonly warn?: (message: string) => void;
}

/**
 * Saves `state` as a directory of its own (`step-00001234`) in `directory`, atomically: a kill or an error at any moment leaves the checkpoints
 * before as they were. Returns the path. One process at a time may save to a directory.
 */
export async function saveTraining(
  directory: string,
  state: TrainingState,
  { keep = 3, files = localFiles(), warn = console.warn }: SaveTrainingOptions = {},
): Promise<string> {
  checkState(state, keep);
  const progress = { doing: "making the directory" };
  let earlier: Saved[] = [];
  const temporary = `${directory}/${unfinished}${nameOfStep(state.step)}`;
  let name: string;
  try {
    await files.makeDirectory(directory);
    await removeUnfinished(directory, files);
    earlier = await listSaved(directory, files);
    const serial = 1 + Math.max(0, ...earlier.map(({ manifest }) => manifest?.serial ?? 0));
    await writeAll(temporary, state, serial, files, progress);
    progress.doing = "putting it in place";
    name = freeName(state.step, new Set(earlier.map((saved) => saved.name)));
    await files.rename(temporary, `${directory}/${name}`);
    await files.syncDirectory(directory);
  } catch (cause) {
    await files.remove(temporary).catch(() => undefined);
    throw failure(directory, state.step, progress.doing, cause, earlier);
  }
  try {
    await pointTo(directory, name, files);
    await prune(directory, keep, files);
  } catch (cause) {
    warn(`${directory}/${name} is saved, but tidying up failed: ${reasonOf(cause)}.`);
  }
  return `${directory}/${name}`;
}

function checkState({ step, tensors, json, score }: TrainingState, keep: number): void {
  const refuse = (what: string, received: unknown) => new CheckpointError(`saveTraining: ${what}, received ${show(received)}.`);
  if (!Number.isSafeInteger(step) || step < 0) throw refuse("step must be a whole number", step);
  if (!Number.isSafeInteger(keep) || keep < 1) throw refuse("keep must be at least 1", keep);
  if (score !== undefined && !Number.isFinite(score)) throw refuse("score must be a finite number", String(score));
  for (const file of Object.keys(tensors))
    if (!/^[A-Za-z0-9_-]+$/.test(file)) throw refuse("a file of tensors must have a plain name", file);
  checkJson(json, "json");
}

async function removeUnfinished(directory: string, files: FileSystem): Promise<void> {
  for (const name of await listDirectory(directory, files)) if (name.startsWith(unfinished)) await files.remove(`${directory}/${name}`);
}

async function writeAll(
  temporary: string,
  state: TrainingState,
  serial: number,
  files: FileSystem,
  progress: { doing: string },
): Promise<void> {
  await files.makeDirectory(temporary);
  const records: Record<string, FileRecord> = {};
  for (const [stem, tensors] of Object.entries(state.tensors)) {
    const file = `${stem}.safetensors`;
    progress.doing = `writing ${file}`;
    records[file] = await writeSynced(`${temporary}/${file}`, (sink) => writeSafetensors(tensors, sink), files);
  }
  progress.doing = "writing state.json";
  const { step, json, score = null } = state;
  const manifest = encodeManifest({ format: 1, step, serial, score, json, files: records });
  await writeSynced(`${temporary}/state.json`, (sink) => sink.write(manifest), files);
  await files.syncDirectory(temporary);
}

async function writeSynced(path: string, write: (sink: Sink) => Promise<void>, files: FileSystem): Promise<FileRecord> {
  const file = await files.create(path);
  let [bytes, checksum] = [0, 0];
  try {
    await write({
      name: path,
      async write(chunk) {
        await file.write(chunk);
        bytes += chunk.length;
        checksum = crc32(chunk, checksum);
      },
    });
    await file.sync();
  } finally {
    await file.close();
  }
  return { bytes, crc32: checksum };
}

function freeName(step: number, taken: ReadonlySet<string>): string {
  let again = 0;
  while (taken.has(nameOfStep(step, again))) again++;
  return nameOfStep(step, again);
}

async function pointTo(directory: string, name: string, files: FileSystem): Promise<void> {
  const temporary = `${directory}/${unfinished}latest`;
  await writeSynced(temporary, (sink) => sink.write(new TextEncoder().encode(`${name}\n`)), files);
  await files.rename(temporary, `${directory}/latest`);
  await files.syncDirectory(directory);
}

/** Removes what is neither among the newest nor the best, and older saves of a step that was saved again. */
async function prune(directory: string, keep: number, files: FileSystem): Promise<void> {
  const saved = (await listSaved(directory, files)).filter(({ manifest }) => manifest !== undefined);
  const steps = new Set<number>();
  const distinct = saved.filter(({ manifest }) => !steps.has(manifest!.step) && steps.add(manifest!.step));
  const scored = distinct.filter(({ manifest }) => manifest!.score !== null);
  const best = scored.reduce<Saved | undefined>(
    (least, one) => (least && least.manifest!.score! <= one.manifest!.score! ? least : one),
    undefined,
  );
  const kept = new Set([...distinct.slice(0, keep), ...(best ? [best] : [])]);
  for (const one of saved) if (!kept.has(one)) await removeSaved(directory, one.name, files);
}

function failure(directory: string, step: number, doing: string, cause: unknown, earlier: readonly Saved[]): CheckpointError {
  const intact = earlier.find(({ manifest }) => manifest !== undefined);
  const rest = intact ? `The previous checkpoint, ${directory}/${intact.name}, is intact.` : "There was no checkpoint before.";
  return new CheckpointError(`${directory}: step ${step} was not saved: while ${doing}: ${reasonOf(cause)}. ${rest}`, { cause });
}
