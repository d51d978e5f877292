import { crc32, localFiles } from "#platform";
import { CheckpointError, show } from "../errors.ts";
import type { FileSystem } from "../files.ts";

/** Anything that JSON holds without loss. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface FileRecord {
  readonly bytes: number;
  readonly crc32: number;
}

/** `state.json`: what a training checkpoint consists of. */
export interface Manifest {
  readonly format: 1;
  readonly step: number;
  /** Counts the saves of a directory: the highest is the newest, whatever its step. */
  readonly serial: number;
  /** The lower the better; kept beyond its time if it is the lowest. */
  readonly score: number | null;
  readonly json: Json;
  readonly files: Readonly<Record<string, FileRecord>>;
}

const maxManifestBytes = 100_000_000;

/** The manifest as bytes of JSON that carry their own checksum. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const content = JSON.stringify(manifest);
  const checksum = crc32(new TextEncoder().encode(content));
  return new TextEncoder().encode(`{"crc32":${checksum},"content":${content}}\n`);
}

/** Reads and checks `state.json` of a checkpoint's directory. */
export async function readManifest(directory: string, files: FileSystem = localFiles()): Promise<Manifest> {
  const path = `${directory}/state.json`;
  const file = await files.open(path);
  try {
    const size = await file.size();
    if (size > maxManifestBytes) throw new CheckpointError(`${path}: has ${size} bytes, at most ${maxManifestBytes} are expected.`);
    return decodeManifest(await file.read(0, size), path);
  } finally {
    await file.close();
  }
}

function decodeManifest(bytes: Uint8Array, path: string): Manifest {
  const text = new TextDecoder().decode(bytes);
  const found = /^\{"crc32":(\d+),"content":(.*)\}\n$/s.exec(text);
  if (found === null || crc32(new TextEncoder().encode(found[2]!)) !== Number(found[1]))
    throw new CheckpointError(`${path}: is damaged: its checksum does not fit.`);
  const manifest = JSON.parse(found[2]!) as Manifest;
  if (manifest.format !== 1) throw new CheckpointError(`${path}: has format ${show(manifest.format)}, this version reads format 1.`);
  return manifest;
}

/** Throws where `value` holds what JSON would change in silence: NaN, infinities, -0, undefined, dates, typed arrays. */
export function checkJson(value: unknown, path: string): asserts value is Json {
  if (value === null || typeof value === "boolean" || typeof value === "string") return;
  if (typeof value === "number" && Number.isFinite(value) && !Object.is(value, -0)) return;
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) checkJson(item, `${path}[${i}]`);
    return;
  }
  if (typeof value === "object" && [Object.prototype, null].includes(Object.getPrototypeOf(value))) {
    for (const [key, item] of Object.entries(value as object)) checkJson(item, `${path}.${key}`);
    return;
  }
  const received =
    typeof value === "object"
      ? `a ${(value as object).constructor.name}`
      : `${Object.is(value, -0) ? "-0" : String(value)} (${typeof value})`;
  throw new CheckpointError(
    `saveTraining: ${path} cannot be kept in JSON without loss: received ${received}. Keep arrays of numbers as tensors.`,
  );
}
