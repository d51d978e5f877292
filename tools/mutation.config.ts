/** The vitest settings under which `pnpm mutate` runs a test: the usual ones, and one source file read with a mutation in it. */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { mergeConfig } from "vitest/config";
import usual from "../vitest.config.ts";
import { type Mutation, mutate } from "./mutation.ts";
import { root } from "./workspace.ts";

/** Set by mutate.ts: the mutation as JSON (nothing for a run on the code as it is), and the file to note in that it was applied. */
const { MUTATION, MUTATION_LOG } = process.env;

/** Hands vitest the mutated text in place of the file's. Nothing on disk changes, so nothing has to be put back, whatever happens. */
function mutationPlugin(mutation: Mutation, log: string) {
  return {
    name: "mutation",
    enforce: "pre" as const,
    load(id: string) {
      const path = id.split("?", 1)[0] ?? id;
      if (path !== join(root, mutation.file)) return null;
      appendFileSync(log, "applied\n");
      return mutate(readFileSync(path, "utf8"), mutation, mutation.name);
    },
  };
}

const plugins = MUTATION && MUTATION_LOG ? [mutationPlugin(JSON.parse(MUTATION) as Mutation, MUTATION_LOG)] : [];

export default mergeConfig(usual, { root, plugins, test: { reporters: ["json"], cache: false } });
