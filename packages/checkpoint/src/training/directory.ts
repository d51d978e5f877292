import { CheckpointError, codeOf, reasonOf } from "../errors.ts";
import type { FileSystem } from "../files.ts";
import { type Manifest, readManifest } from "./manifest.ts";

/** Prefix of what an unfinished save or removal leaves behind. */
export const unfinished = ".unfinished-";
const stepName = /^step-\d{8,}(-\d+)?$/;

/** The name of the directory of `step`; `again` counts saves of the same step. */
export const nameOfStep = (step: number, again = 0): string => `step-${String(step).padStart(8, "0")}${again === 0 ? "" : `-${again}`}`;

/** Names in `directory`; none if it does not exist. */
export async function listDirectory(directory: string, files: FileSystem): Promise<string[]> {
  try {
    return await files.list(directory);
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return [];
    throw new CheckpointError(`${directory}: cannot be listed: ${reasonOf(cause)}.`, { cause });
  }
}

export interface Saved {
  readonly name: string;
  /** Undefined where it cannot be read. */
  readonly manifest: Manifest | undefined;
  readonly error: unknown;
}

/** The finished checkpoints of `directory`, the newest first, unreadable ones last. */
export async function listSaved(directory: string, files: FileSystem): Promise<Saved[]> {
  const names = (await listDirectory(directory, files)).filter((name) => stepName.test(name)).sort();
  const saved = await Promise.all(
    names.map((name) =>
      readManifest(`${directory}/${name}`, files).then(
        (manifest): Saved => ({ name, manifest, error: undefined }),
        (error: unknown): Saved => ({ name, manifest: undefined, error }),
      ),
    ),
  );
  return saved.sort((a, b) => (b.manifest?.serial ?? -1) - (a.manifest?.serial ?? -1));
}

/** The name that the file `latest` holds; undefined if there is none, or it is no name of a checkpoint. */
export async function readLatest(directory: string, files: FileSystem): Promise<string | undefined> {
  try {
    const file = await files.open(`${directory}/latest`);
    try {
      const name = new TextDecoder().decode(await file.read(0, 64)).trim();
      return stepName.test(name) ? name : undefined;
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}

/** Removes a checkpoint so that a kill midway leaves no half of it under its name. */
export async function removeSaved(directory: string, name: string, files: FileSystem): Promise<void> {
  const doomed = `${directory}/${unfinished}remove-${name}`;
  await files.rename(`${directory}/${name}`, doomed);
  await files.remove(doomed);
}
