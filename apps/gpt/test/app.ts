/** The app as a child process: bundled once, so that starting it costs a fraction of a second. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when standard output holds the text, or the process has ended. */
  printed(text: string): Promise<void>;
}

export interface App {
  /** A folder of the test's own. */
  readonly folder: string;
  start(args: readonly string[], options?: { readonly node?: readonly string[]; readonly env?: Readonly<Record<string, string>> }): Running;
  run(args: readonly string[], options?: Parameters<App["start"]>[1]): Promise<Ended>;
  remove(): void;
}

export async function bundledApp(): Promise<App> {
  const folder = mkdtempSync(join(tmpdir(), "gpt-app-"));
  const outfile = join(folder, "gpt.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("../src/main.ts", import.meta.url))],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    conditions: ["@x/source"],
    logLevel: "error",
  });
  const start: App["start"] = (args, { node = [], env = {} } = {}) => {
    const child = spawn(process.execPath, [...node, outfile, ...args], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    return watch(child);
  };
  return { folder, start, run: (args, options) => start(args, options).ended, remove: () => rmSync(folder, { recursive: true }) };
}

function watch(child: ChildProcess): Running {
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name]!.setEncoding("utf8").on("data", (text: string) => {
      said[name] += text;
    });
  const ended = new Promise<Ended>((done) => child.on("close", (status, signal) => done({ status, signal, ...said })));
  const printed = (text: string) =>
    new Promise<void>((done) => {
      const look = () => said.stdout.includes(text) && done();
      child.stdout!.on("data", look);
      child.on("close", () => done());
      look();
    });
  return { child, ended, printed };
}

/** The records that --json printed. */
export const records = (stdout: string): Record<string, number>[] =>
  stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
