import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ChildLine, ChildRequest } from "./child.ts";
import type { Demands } from "./competitor.ts";

/** One process of one competitor: its samples in milliseconds, or why there are none. */
export interface Launch {
  samples: number[];
  version?: string;
  threads?: number;
  adapter?: string;
  demands?: Demands;
  peakBytes?: number;
  processBytes?: number;
  check?: { maxAbs: number; rows: number };
  unsupported?: true;
  error?: string;
}

const timeoutMs = 300_000;

/**
 * Runs the measured process of `request` to its end, with the flags of this one and `environment` beside its own.
 * Never throws for what the competitor does.
 */
export async function launch(request: ChildRequest, environment: Record<string, string> = {}): Promise<Launch> {
  const script = fileURLToPath(new URL("./child.ts", import.meta.url));
  const args = [...process.execArgv, "--max-old-space-size=8192", script, JSON.stringify(request)];
  const child = spawn(process.execPath, args, { timeout: timeoutMs, env: { ...process.env, ...environment } });
  const result: Launch = { samples: [] };
  let complaints = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaints = (complaints + chunk.toString()).slice(-4000);
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on("close", resolve);
    child.on("error", reject);
  });
  for await (const text of createInterface({ input: child.stdout })) take(text, result);
  const status = await ended;
  if (status !== 0) result.error = lastError(complaints) || `the process ended with ${status ?? `no answer in ${timeoutMs} ms`}`;
  return result;
}

function take(text: string, result: Launch): void {
  if (!text.startsWith('{"type":')) return; // a library's own chatter
  const line = JSON.parse(text) as ChildLine;
  if (line.type === "sample") result.samples.push(line.ms);
  else if (line.type === "unsupported") result.unsupported = true;
  else {
    const { type: _, ...told } = line;
    Object.assign(result, told);
  }
}

function lastError(complaints: string): string {
  const lines = complaints.split("\n");
  return (
    (lines.find((line) => /^\w*Error( \[\w+\])?:/.test(line)) ?? lines.find((line) => /Error|Cannot/.test(line)))?.trim() ??
    lines.filter(Boolean).at(-1) ??
    ""
  );
}
