/** Judges one mutation by running its test twice: on the code as it is, and with the mutation in it. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Mutation } from "./mutation.ts";
import { readJson, root, scope } from "./workspace.ts";

/** What became of a mutation. Only `killed` is good: `survived` asks for a better test, `invalid` for a better mutation. */
export interface Verdict {
  readonly outcome: "killed" | "survived" | "invalid";
  readonly detail: string;
}

interface Run {
  readonly passed: number;
  readonly failed: number;
  readonly applied: boolean;
  /** What stopped the tests from running at all, or the first failure's first line. */
  readonly message: string;
}

interface Report {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly failureMessages?: readonly string[] }[];
  }[];
}

/** Tests that passed on the code as it is, so that mutations which share a test do not run it again. */
const sound = new Map<string, Promise<Run>>();

/** Runs a mutation's test without and with it. */
export async function judge(mutation: Mutation): Promise<Verdict> {
  const key = JSON.stringify([mutation.test, mutation.testName]);
  const plain = sound.get(key) ?? run(mutation, false);
  sound.set(key, plain);
  const before = await plain;
  if (before.failed > 0 || before.passed === 0)
    return { outcome: "invalid", detail: `without the mutation: ${before.passed} passed, ${before.failed} failed. ${before.message}` };
  const after = await run(mutation, true);
  if (!after.applied) return { outcome: "survived", detail: `the test never loads ${mutation.file}` };
  if (after.failed > 0) return { outcome: "killed", detail: after.message };
  // A mutation after which nothing runs is a broken file, not a wrong one: no test has noticed anything.
  if (after.passed === 0) return { outcome: "invalid", detail: `with the mutation no test runs. ${after.message}` };
  return { outcome: "survived", detail: `${after.passed} tests pass with it. ${mutation.why}` };
}

async function run(mutation: Mutation, mutated: boolean): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), "mutate-"));
  try {
    const [output, log] = [join(folder, "report.json"), join(folder, "applied")];
    const filter = mutation.testName ? ["-t", mutation.testName.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")] : [];
    const config = ["--config", join(root, "tools", "mutation.config.ts")];
    const args = ["run", mutation.test, ...filter, ...config, "--reporter=json", `--outputFile=${output}`];
    const { NODE_OPTIONS: _, VITEST: __, MUTATION: ___, ...env } = process.env;
    const asked = mutated ? { MUTATION: JSON.stringify(mutation), MUTATION_LOG: log } : {};
    const vitest = [`--conditions=${scope}/source`, join(root, "node_modules", "vitest", "vitest.mjs")];
    const done = promisify(execFile)(process.execPath, [...vitest, ...args], { cwd: root, env: { ...env, ...asked }, maxBuffer: 1 << 26 });
    const said = await done.then(
      () => "",
      (error: { stderr?: string; message: string }) => error.stderr || error.message,
    );
    return { ...summary(output, said), applied: existsSync(log) && readFileSync(log, "utf8") !== "" };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function summary(output: string, said: string): Omit<Run, "applied"> {
  if (!existsSync(output)) return { passed: 0, failed: 0, message: firstLine(said) };
  const files = readJson<Report>(output).testResults;
  const tests = files.flatMap(({ assertionResults }) => assertionResults);
  const count = (status: string) => tests.filter((test) => test.status === status).length;
  const failure = tests.find(({ status }) => status === "failed")?.failureMessages?.[0];
  return {
    passed: count("passed"),
    failed: count("failed"),
    message: firstLine(failure ?? files.find(({ message }) => message)?.message ?? said),
  };
}

const firstLine = (text: string) => (text.trim().split("\n")[0] ?? "").slice(0, 140);
