/**
 * `pnpm mutate [NAME ...]`: shows that the tests would notice the traps of the specs. For each mutation (tools/mutations/*.json) the named
 * test must pass on the code as it is and fail on the mutated code. Exits 1 when a mutation survives or could not be judged.
 */
import { pathToFileURL } from "node:url";
import { type Mutation, readMutations } from "./mutation.ts";
import { judge, type Verdict } from "./mutation-run.ts";

/** The mutations to run: all, or those named. Throws on a name that no mutation has. */
function chosen(all: readonly Mutation[], names: readonly string[]): Mutation[] {
  const unknown = names.filter((name) => !all.some((mutation) => mutation.name === name));
  if (unknown.length > 0)
    throw new Error(`No mutation is called ${unknown.join(", ")}. There are: ${all.map(({ name }) => name).join(", ")}.`);
  return all.filter(({ name }) => names.length === 0 || names.includes(name));
}

async function main(names: readonly string[]): Promise<void> {
  const mutations = chosen(readMutations(), names);
  const width = Math.max(8, ...mutations.map(({ name }) => name.length));
  const verdicts: Verdict[] = [];
  for (const mutation of mutations) {
    const verdict = await judge(mutation);
    verdicts.push(verdict);
    console.log(
      `${verdict.outcome.padEnd(10)} ${mutation.name.padEnd(width)}  ${mutation.test}${verdict.detail ? `  ${verdict.detail}` : ""}`,
    );
  }
  const killed = verdicts.filter(({ outcome }) => outcome === "killed").length;
  console.log(`\n${mutations.length} mutations: ${killed} killed, ${mutations.length - killed} not`);
  if (killed < mutations.length) process.exitCode = 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href)
  main(process.argv.slice(2)).catch((error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
