import type { Command, Report } from "../protocol.ts";
import { Host } from "./host.ts";

/** What this file uses of a worker's global scope: the types of pages and of workers cannot be had together. */
const worker = globalThis as unknown as {
  postMessage(report: Report): void;
  onmessage: (event: { readonly data: Command }) => void;
};

const host = new Host((report) => worker.postMessage(report));
worker.onmessage = ({ data }) => void host.handle(data);
void host.greet();
