/** `pnpm rename-scope NAME`: moves every package to another npm scope. The scope in force stands in package.json, under `config.scope`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { checkoutFiles, readJson, root } from "./workspace.ts";

/** What npm accepts as a scope. */
const valid = /^@[a-z0-9][a-z0-9._-]*$/;

/** Matches a scope where it stands as a name of its own: not inside a word, an address or a longer scope. */
export function mentions(scope: string): RegExp {
  const literal = scope.replace(/[.\\+*?[^\]$(){}=!<>|:-]/g, "\\$&");
  return new RegExp(`(?<![\\w@.])${literal}(?![\\w-]|\\.\\w)`, "g");
}

/**
 * Rewrites every mention of the scope in the files that git keeps (or would keep) under `dir`: names, imports, conditions, settings,
 * documents and the lockfile. Gives the paths it changed. Throws, before anything is written, when the new scope is none or already in use.
 */
export function renameScope(dir: string, to: string): string[] {
  if (!valid.test(to))
    throw new Error(`rename-scope: "${to}" is not an npm scope. A scope looks like @name: lower case, digits, ., _ and -.`);
  const from = readJson<{ config: { scope: string } }>(join(dir, "package.json")).config.scope;
  if (from === to) return [];
  const changes = new Map<string, string>();
  for (const path of checkoutFiles(dir)) {
    const bytes = readFileSync(join(dir, path));
    const text = bytes.toString("utf8");
    // What does not survive decoding is no text.
    if (bytes.includes(0) || !Buffer.from(text, "utf8").equals(bytes)) continue;
    if (mentions(to).test(text))
      throw new Error(`rename-scope: ${path} mentions ${to} already; the two scopes could not be told apart again.`);
    const renamed = text.replace(mentions(from), to);
    if (renamed !== text) changes.set(path, renamed);
  }
  for (const [path, text] of changes) writeFileSync(join(dir, path), text);
  return [...changes.keys()];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [to, ...rest] = process.argv.slice(2);
  if (!to || rest.length > 0) {
    console.error("Usage: pnpm rename-scope @NAME");
    process.exitCode = 2;
  } else {
    try {
      const changed = renameScope(root, to);
      console.log(
        changed.length === 0
          ? `The scope is ${to} already.`
          : `Renamed the scope to ${to} in ${changed.length} files. Any command installs anew.`,
      );
    } catch (error) {
      console.error((error as Error).message);
      process.exitCode = 1;
    }
  }
}
