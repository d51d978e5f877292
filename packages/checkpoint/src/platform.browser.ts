import { crc32 } from "./crc32.ts";
import { CheckpointError } from "./errors.ts";
import type { Platform } from "./files.ts";

export { crc32 };

export const localFiles: Platform["localFiles"] = () => {
  throw new CheckpointError(
    "Paths can be read and written in Node only. Here, hand in a File or Blob, bytes, an http(s) address, or a FileSystem of your own.",
  );
};
