import { type FileHandle, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { crc32 as zlibCrc32 } from "node:zlib";
import type { FileSystem, Platform, ReadFile, WriteFile } from "./files.ts";

export const crc32: Platform["crc32"] = (bytes, previous = 0) => zlibCrc32(bytes, previous);

export const localFiles: Platform["localFiles"] = () => nodeFiles;

const nodeFiles: FileSystem = {
  open: async (path) => reader(await open(path, "r")),
  create: async (path) => writer(await open(path, "w")),
  rename,
  remove: (path) => rm(path, { recursive: true, force: true }),
  makeDirectory: async (path) => void (await mkdir(path, { recursive: true })),
  list: (path) => readdir(path),
  syncDirectory,
};

function reader(handle: FileHandle): ReadFile {
  return {
    size: async () => (await handle.stat()).size,
    async read(begin, end) {
      const bytes = new Uint8Array(end - begin);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, begin + filled);
        if (bytesRead === 0) return bytes.subarray(0, filled);
        filled += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}

function writer(handle: FileHandle): WriteFile {
  return {
    async write(bytes) {
      let written = 0;
      while (written < bytes.length) written += (await handle.write(bytes, written)).bytesWritten;
    },
    sync: () => handle.sync(),
    close: () => handle.close(),
  };
}

async function syncDirectory(path: string): Promise<void> {
  // Windows has no handle on a directory to flush; NTFS journals names itself.
  if (process.platform === "win32") return;
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
