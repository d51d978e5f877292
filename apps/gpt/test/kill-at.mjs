/**
 * Preloaded into the app by the test of kills: ends the process by SIGKILL in the middle of the n-th operation on files that changes something, n from KILL_AT.
 * A write is cut in half.
 */
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

let left = Number(process.env.KILL_AT);
const die = () => process.kill(process.pid, "SIGKILL");

/** Counts an operation; at the last one, does `half` of it and dies. */
async function counted(half, whole) {
  if (--left > 0) return whole();
  await half();
  die();
  return new Promise(() => {});
}

const { open, rename, rm, mkdir } = fs;
fs.rename = (from, to) =>
  counted(
    async () => {},
    () => rename(from, to),
  );
fs.rm = (...args) =>
  counted(
    async () => {},
    () => rm(...args),
  );
fs.mkdir = (...args) =>
  counted(
    async () => {},
    () => mkdir(...args),
  );
fs.open = async (path, flags, mode) => {
  const handle = await open(path, flags, mode);
  if (flags !== "w") return handle;
  const write = handle.write.bind(handle);
  const sync = handle.sync.bind(handle);
  handle.write = (bytes, ...rest) =>
    counted(
      () => write(bytes.subarray(0, bytes.length >> 1)),
      () => write(bytes, ...rest),
    );
  handle.sync = () =>
    counted(
      async () => {},
      () => sync(),
    );
  return handle;
};
syncBuiltinESMExports();
