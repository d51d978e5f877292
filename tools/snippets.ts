/** The examples of the READMEs: found, and made into programs that Node runs. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packages, root, type Workspace } from "./workspace.ts";

/** The first TypeScript example of a README. */
export interface Snippet {
  /** Whose README it is: a package's short name, or "README". */
  readonly owner: string;
  readonly file: string;
  readonly code: string;
  /** What stands before the first fence of the file. */
  readonly intro: string;
  /** The language of the first fence of the file. */
  readonly firstFence: string;
}

/** The README of a package, or undefined. */
export function readmeOf(member: Workspace): Snippet | undefined {
  return firstSnippet(member.short, join(member.dir, "README.md"));
}

/** The README of the repository and those of the packages, as far as they exist and have a TypeScript example. */
export function allSnippets(): Snippet[] {
  const own = firstSnippet("README", join(root, "README.md"));
  return [...(own ? [own] : []), ...packages.flatMap((member) => readmeOf(member) ?? [])];
}

function firstSnippet(owner: string, file: string): Snippet | undefined {
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, "utf8");
  const block = /^```ts\n([\s\S]*?)^```$/m.exec(text);
  const fence = /^```(\w*)/m.exec(text);
  if (!block) return undefined;
  return { owner, file, code: block[1] ?? "", intro: text.slice(0, fence?.index ?? 0), firstFence: fence?.[1] ?? "" };
}

/**
 * The same program for a CommonJS file: its imports first, then the rest in an async function, since such a file cannot await at its top.
 * What esbuild makes of it with `format: "cjs"` calls require() for each import.
 */
export function forRequire(code: string): string {
  const imports = code.match(/^import [\s\S]*?from\s+["'].*["'];?$/gm) ?? [];
  const rest = imports.reduce((text, line) => text.replace(line, ""), code);
  return `${imports.join("\n")}\n(async () => {\n${rest}\n})().catch((error) => { console.error(error); process.exitCode = 1; });\n`;
}
