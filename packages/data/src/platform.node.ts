/** Files, in Node. The same names stand in platform.browser.ts. */
import { open, readdir } from "node:fs/promises";

/** The bytes of a file, a chunk at a time. Each chunk is valid until the next one is asked for. */
export async function* fileChunks(path: string, chunkBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  const file = await open(path, "r");
  try {
    const buffer = new Uint8Array(chunkBytes);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, chunkBytes, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** What stands in a directory. Links are neither files nor directories here: they are not followed. */
export async function listDirectory(path: string): Promise<{ name: string; isFile: boolean; isDirectory: boolean }[]> {
  const entries = await readdir(path, { withFileTypes: true });
  return entries.map((entry) => ({ name: entry.name, isFile: entry.isFile(), isDirectory: entry.isDirectory() }));
}
