import { readdirSync } from "node:fs";
import type { Options } from "tsup";

/**
 * What every published package is built with: ESM, types and source maps, for the platforms Node 20 and today's browsers share.
 * Specifiers that begin with # stay as they are: the reader's platform picks the file behind them, not the machine that builds.
 * Every module stays a module of its own, because a bundler drops unused files (`sideEffects: false`), but no unused call inside a file:
 * one op of ops in a bundle is 3 kB this way and 62 kB from a single file.
 */
export function preset(entry: Record<string, string> = { index: "src/index.ts" }, options: Options = {}): Options {
  const external = [/^#/, ...(options.external ?? [])];
  const base: Options = { format: ["esm"], dts: { entry }, sourcemap: true, clean: true, target: "es2022", splitting: true };
  return { ...base, ...options, entry: { ...modules(Object.values(entry)), ...entry }, external };
}

/** The modules of the package being built, by the path they are written to; those that are entries under a name of their own left out. */
function modules(entries: readonly string[]): Record<string, string> {
  const paths = readdirSync("src", { recursive: true, encoding: "utf8" }).map((path) => `src/${path.replaceAll("\\", "/")}`);
  const own = paths.filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts") && !entries.includes(path));
  return Object.fromEntries(own.map((path) => [path.slice("src/".length, -".ts".length), path]));
}
