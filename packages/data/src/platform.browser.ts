/** Files, where there are none. The same names stand in platform.node.ts. */
import { DataError } from "./errors.ts";

// biome-ignore lint/correctness/useYield: it throws before it could
export async function* fileChunks(path: string, _chunkBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  throw noFiles(path);
}

export async function listDirectory(path: string): Promise<{ name: string; isFile: boolean; isDirectory: boolean }[]> {
  throw noFiles(path);
}

const noFiles = (path: string) => new DataError(`${path}: files can be read in Node only; here, fetch the text and hand it to encodeText.`);
