import { crc32, localFiles } from "#platform";
import { CheckpointError, reasonOf } from "../errors.ts";
import type { FileSystem } from "../files.ts";
import type { TensorReader } from "../reader.ts";
import { openSafetensors } from "../safetensors/open.ts";
import { fileSource, readExactly, type Source } from "../source.ts";
import { listSaved, readLatest, type Saved } from "./directory.ts";
import type { FileRecord, Json, Manifest } from "./manifest.ts";

/** A training checkpoint whose files were read once and found whole. */
export interface OpenTraining {
  readonly step: number;
  readonly json: Json;
  readonly score: number | undefined;
  /** By file, as they were handed to `saveTraining`: `readers.model`, `readers.state`. */
  readonly readers: Readonly<Record<string, TensorReader>>;
  /** Path of the checkpoint. */
  readonly path: string;
  close(): Promise<void>;
}

export interface OpenTrainingOptions {
  readonly files?: FileSystem;
  /** Told when the newest checkpoint is damaged and an older one is taken. Default console.warn. */
  readonly warn?: (message: string) => void;
}

/**
 * Opens the checkpoint that `latest` names, or the newest that is whole, with a warning for each that is not. Undefined if `directory` has
 * none; an error if all are damaged. Changes nothing.
 */
export async function openTraining(
  directory: string,
  { files = localFiles(), warn = console.warn }: OpenTrainingOptions = {},
): Promise<OpenTraining | undefined> {
  const latest = await readLatest(directory, files);
  const saved = await listSaved(directory, files);
  const ordered = [...saved.filter(({ name }) => name === latest), ...saved.filter(({ name }) => name !== latest)];
  const damage: string[] = [];
  if (latest !== undefined && !saved.some(({ name }) => name === latest)) damage.push(`${directory}/${latest}: it does not exist`);
  for (const one of ordered) {
    try {
      const opened = await openSaved(directory, one, files);
      if (damage.length > 0)
        warn(
          `WARNING: going back to ${opened.path} (step ${opened.step}), because newer checkpoints are damaged:\n  ${damage.join("\n  ")}`,
        );
      return opened;
    } catch (error) {
      damage.push(`${directory}/${one.name}: ${reasonOf(error)}`);
    }
  }
  if (damage.length === 0) return undefined;
  throw new CheckpointError(`${directory}: every checkpoint is damaged:\n  ${damage.join("\n  ")}`);
}

async function openSaved(directory: string, { name, manifest, error }: Saved, files: FileSystem): Promise<OpenTraining> {
  if (manifest === undefined) throw error;
  const path = `${directory}/${name}`;
  const readers: Record<string, TensorReader> = {};
  const close = async () => void (await Promise.all(Object.values(readers).map((reader) => reader.close())));
  try {
    for (const [file, record] of Object.entries(manifest.files))
      readers[file.replace(/\.safetensors$/, "")] = await openVerified(fileSource(`${path}/${file}`, files), record);
  } catch (cause) {
    await close();
    throw cause;
  }
  const { step, json, score } = manifest satisfies Manifest;
  return { step, json, score: score ?? undefined, readers, path, close };
}

const chunkBytes = 2 ** 22;

/** Reads the whole file once, in pieces, and compares it with what was written. */
async function openVerified(source: Source, { bytes, crc32: expected }: FileRecord): Promise<TensorReader> {
  try {
    const size = await source.size();
    if (size !== bytes) throw new CheckpointError(`${source.name}: is damaged: expected ${bytes} bytes, received ${size}.`);
    let checksum = 0;
    for (let at = 0; at < size; at += chunkBytes)
      checksum = crc32(await readExactly(source, at, Math.min(size, at + chunkBytes), "the file"), checksum);
    if (checksum !== expected)
      throw new CheckpointError(`${source.name}: is damaged: expected checksum ${expected}, received ${checksum}.`);
    return await openSafetensors(source);
  } catch (error) {
    await source.close?.();
    throw error;
  }
}
