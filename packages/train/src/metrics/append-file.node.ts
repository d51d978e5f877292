/** Files that grow, in Node. The same names stand in append-file.browser.ts. */
import { closeSync, fsyncSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import type { AppendFile } from "./append-file.ts";

/**
 * Opens a file to append to, making it and its directory where they are missing. `keep` is given what the file holds and
 * says how many bytes of it stay.
 */
export function openAppend(path: string, keep: (content: Uint8Array) => number): AppendFile {
  const file = naming(path, () => {
    mkdirSync(dirname(path), { recursive: true });
    return openSync(path, "a+");
  });
  try {
    const content = readFileSync(file);
    const length = keep(content);
    if (length < content.length) ftruncateSync(file, length);
  } catch (error) {
    closeSync(file);
    throw error;
  }
  return {
    append: (bytes) =>
      naming(path, () => {
        for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      }),
    close: () =>
      naming(path, () => {
        fsyncSync(file);
        closeSync(file);
      }),
  };
}

/** A path for a new TensorBoard event file in `directory`, which TensorBoard reads in the order of the time in the names. */
export function eventFilePath(directory: string, seconds: number): string {
  return join(directory, `events.out.tfevents.${String(Math.floor(seconds)).padStart(10, "0")}.${hostname()}.${process.pid}`);
}

/** Runs `work`; an error of the system says which file it was about. */
function naming<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new Error(`metrics: ${path} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
