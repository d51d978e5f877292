/** A mutation: one small wrong edit of a source file that a named test has to notice. They stand in tools/mutations/*.json, one or a list. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { filesUnder, readJson, root, shown } from "./workspace.ts";

/** One entry of a file under tools/mutations. Paths are from the root of the repository. */
export interface Mutation {
  readonly name: string;
  /** The trap: what somebody would get wrong, and where it is written down. */
  readonly why: string;
  /** The source file to change. */
  readonly file: string;
  /** Text that occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** The test file that has to fail. */
  readonly test: string;
  /** The part of a test's full name that has to be among the failing; any test of the file when absent. */
  readonly testName?: string;
}

const required = ["name", "why", "file", "find", "replace", "test"] as const;

/** Reads every mutation of a folder. Throws, naming the entry, when one is incomplete or no longer fits its file. */
export function readMutations(folder: string = join(root, "tools", "mutations")): Mutation[] {
  const mutations = filesUnder(folder, /\.json$/).flatMap((path) => {
    const entries = [readJson<Mutation | Mutation[]>(path)].flat();
    for (const entry of entries) checkMutation(entry, shown(path));
    return entries;
  });
  const names = mutations.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice) throw new Error(`Two mutations are called "${twice}".`);
  return mutations;
}

function checkMutation(mutation: Mutation, where: string): void {
  const label = `${where}: mutation "${mutation.name}"`;
  for (const key of required) if (typeof mutation[key] !== "string") throw new Error(`${label} lacks "${key}".`);
  for (const path of [mutation.file, mutation.test])
    if (!existsSync(join(root, path))) throw new Error(`${label} names ${path}, which does not exist.`);
  mutate(readFileSync(join(root, mutation.file), "utf8"), mutation, label);
}

/** The mutated text of a file. Throws when `find` does not occur exactly once, or nothing would change. */
export function mutate(text: string, { file, find, replace }: Mutation, label: string): string {
  const count = find === "" ? 0 : text.split(find).length - 1;
  if (count !== 1) throw new Error(`${label}: "find" must occur once in ${file}; it occurs ${count} times. Was the code rewritten?`);
  if (find === replace) throw new Error(`${label} changes nothing.`);
  return text.replace(find, () => replace);
}
