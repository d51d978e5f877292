/** Files that grow, where there are none. The same names stand in append-file.node.ts. */
import type { AppendFile } from "./append-file.ts";

export function openAppend(path: string, _keep: (content: Uint8Array) => number): AppendFile {
  throw new Error(`metrics: ${path} cannot be written: files are for Node; here, pass a sink of your own.`);
}

export function eventFilePath(directory: string, seconds: number): string {
  return `${directory}/events.out.tfevents.${Math.floor(seconds)}`;
}
