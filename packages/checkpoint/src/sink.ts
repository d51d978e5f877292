import { localFiles } from "#platform";
import { CheckpointError, reasonOf } from "./errors.ts";
import type { FileSystem } from "./files.ts";

/** Where bytes are written, from the first to the last. */
export interface Sink {
  /** What messages call it. */
  readonly name: string;
  write(bytes: Uint8Array): Promise<void>;
  /** Called once after the last byte. */
  close?(): Promise<void>;
}

/** Collects what is written; `bytes()` gives it. */
export function memorySink(name = "bytes in memory"): Sink & { bytes(): Uint8Array } {
  const parts: Uint8Array[] = [];
  return {
    name,
    write: async (bytes) => void parts.push(bytes.slice()),
    bytes() {
      const all = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
      let at = 0;
      for (const part of parts) {
        all.set(part, at);
        at += part.length;
      }
      return all;
    },
  };
}

/** A stream of the web: a file that a user chose to save to, a response. */
export function streamSink(stream: WritableStream<Uint8Array>, name = "stream"): Sink {
  const writer = stream.getWriter();
  return { name, write: (bytes) => writer.write(bytes), close: () => writer.close() };
}

/** A new file, or one that is replaced at once when all is written: a file of that name stays as it was until then. */
export async function writeFile(path: string, write: (sink: Sink) => Promise<void>, files: FileSystem = localFiles()): Promise<void> {
  const temporary = `${path}.partial`;
  try {
    const file = await files.create(temporary);
    try {
      await write({ name: path, write: (bytes) => file.write(bytes) });
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(temporary, path);
    await files.syncDirectory(path.replace(/\/?[^/]*$/, "") || (path.startsWith("/") ? "/" : "."));
  } catch (cause) {
    await files.remove(temporary).catch(() => undefined);
    if (CheckpointError.isInstance(cause)) throw cause;
    throw new CheckpointError(`${path}: cannot be written: ${reasonOf(cause)}. What stood there before is as it was.`, { cause });
  }
}
