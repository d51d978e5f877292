import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import type { FileSystem } from "@x/checkpoint";

/** The real disk, full from a chosen write on. */
export function diskThatFails(): { readonly files: FileSystem; failAt(write: number | undefined): void } {
  let left = Number.POSITIVE_INFINITY;
  const spend = () => {
    left--;
    if (left <= 0) throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  };
  const files: FileSystem = {
    async open(path) {
      const file = await open(path, "r");
      return {
        size: async () => (await file.stat()).size,
        read: async (begin, end) => (await file.read(new Uint8Array(end - begin), 0, end - begin, begin)).buffer,
        close: () => file.close(),
      };
    },
    async create(path) {
      spend();
      const file = await open(path, "w");
      return {
        async write(bytes) {
          spend();
          await file.write(bytes);
        },
        async sync() {
          spend();
        },
        close: () => file.close(),
      };
    },
    rename,
    remove: (path) => rm(path, { recursive: true, force: true }),
    async makeDirectory(path) {
      await mkdir(path, { recursive: true });
    },
    list: (path) => readdir(path),
    async syncDirectory() {},
  };
  return {
    files,
    failAt(write) {
      left = write ?? Number.POSITIVE_INFINITY;
    },
  };
}
