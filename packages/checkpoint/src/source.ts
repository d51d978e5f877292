import { localFiles } from "#platform";
import { CheckpointError, reasonOf, show } from "./errors.ts";
import type { FileSystem, ReadFile } from "./files.ts";
import { urlSource } from "./url-source.ts";

/** Bytes that can be read by range: a file, a Blob, an address, an array. */
export interface Source {
  /** What messages call it. */
  readonly name: string;
  size(): Promise<number>;
  /** Bytes [begin, end), in memory of their own or shared. */
  read(begin: number, end: number): Promise<Uint8Array>;
  close?(): Promise<void>;
}

/** A path (Node), an http(s) address, a File or Blob, bytes, or a source of one's own. */
export type SourceLike = string | URL | Blob | Uint8Array | ArrayBuffer | Source;

export function toSource(from: SourceLike, files?: FileSystem): Source {
  if (typeof from === "string") return /^https?:/i.test(from) ? urlSource(from) : fileSource(from, files);
  if (from instanceof URL) return from.protocol === "file:" ? fileSource(decodeURIComponent(from.pathname), files) : urlSource(from.href);
  if (from instanceof Blob) return blobSource(from);
  if (from instanceof Uint8Array) return bytesSource(from);
  if (from instanceof ArrayBuffer) return bytesSource(new Uint8Array(from));
  if (typeof from?.read === "function" && typeof from.size === "function") return from;
  throw new CheckpointError(`A checkpoint is read from a path, an address, a Blob, bytes or a Source; received ${show(from)}.`);
}

/** Bytes in memory; what is read shares them. */
export const bytesSource = (bytes: Uint8Array, name = "bytes in memory"): Source => ({
  name,
  size: async () => bytes.length,
  read: async (begin, end) => bytes.subarray(begin, end),
});

/** A Blob, or a File that a user chose. */
export const blobSource = (blob: Blob, name = (blob as Partial<File>).name ?? "blob"): Source => ({
  name,
  size: async () => blob.size,
  read: async (begin, end) => new Uint8Array(await blob.slice(begin, end).arrayBuffer()),
});

/** A file, opened at the first read. */
export function fileSource(path: string, files: FileSystem = localFiles()): Source {
  let opened: Promise<ReadFile> | undefined;
  const attempt = async <T>(work: (file: ReadFile) => Promise<T>): Promise<T> => {
    try {
      opened ??= files.open(path);
      return await work(await opened);
    } catch (cause) {
      throw new CheckpointError(`${path}: cannot be read: ${reasonOf(cause)}.`, { cause });
    }
  };
  return {
    name: path,
    size: () => attempt((file) => file.size()),
    read: (begin, end) => attempt((file) => file.read(begin, end)),
    async close() {
      const closing = opened;
      opened = undefined;
      await (await closing?.catch(() => undefined))?.close();
    },
  };
}

/** Bytes [begin, end) of `source`, all of them, or an error. */
export async function readExactly(source: Source, begin: number, end: number, what: string): Promise<Uint8Array> {
  if (begin === end) return new Uint8Array(0);
  const bytes = await source.read(begin, end);
  if (bytes.length === end - begin) return bytes;
  throw new CheckpointError(
    `${source.name}: the file ends inside ${what}: expected ${end - begin} bytes at ${begin}, received ${bytes.length}. It was cut short or changed while being read.`,
  );
}
