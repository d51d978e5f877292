/** What the tools and the tests of the laws know about this repository: its packages, their files and what those import. */
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** The part of a package.json that the tools read. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly sideEffects?: boolean;
  readonly type?: string;
  readonly license?: string;
  readonly description?: string;
  readonly engines?: Record<string, string>;
  readonly exports?: Record<string, unknown>;
  readonly dependencies?: Record<string, string>;
  readonly peerDependencies?: Record<string, string>;
  readonly peerDependenciesMeta?: Record<string, { optional?: boolean }>;
  readonly optionalDependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
}

/** A package or an app of the workspace. */
export interface Workspace {
  /** The name without the scope: "tensor". */
  readonly short: string;
  /** The name in package.json: "@x/tensor". */
  readonly name: string;
  readonly kind: "package" | "app";
  /** Its folder, absolute. */
  readonly dir: string;
  readonly manifest: Manifest;
}

/** The root of the repository, without a slash at its end. */
export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/[\\/]$/, "");

/** The npm scope of every package here, from the one place where it stands. */
export const scope: string = readJson<{ config: { scope: string } }>(join(root, "package.json")).config.scope;

/** Reads a JSON file. */
export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, "utf8")) as T;
}

/** Every package and app that has a package.json, by name. */
export function workspaces(): Workspace[] {
  return [...members("packages", "package"), ...members("apps", "app")];
}

/** What is published: the members of `packages/`. */
export const packages: readonly Workspace[] = members("packages", "package");

function members(folder: string, kind: Workspace["kind"]): Workspace[] {
  const home = join(root, folder);
  if (!existsSync(home)) return [];
  return readdirSync(home)
    .sort()
    .filter((short) => existsSync(join(home, short, "package.json")))
    .map((short) => {
      const dir = join(home, short);
      const manifest = readJson<Manifest>(join(dir, "package.json"));
      return { short, name: manifest.name, kind, dir, manifest };
    });
}

/** The files under a folder whose names match, sorted; absent folders hold none. `node_modules` and `dist` are passed over. */
export function filesUnder(dir: string, matching: RegExp): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.name !== "node_modules" && entry.name !== "dist")
    .flatMap((entry) => {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) return filesUnder(path, matching);
      return matching.test(entry.name) ? [path] : [];
    })
    .sort();
}

/** The TypeScript sources of a member, tests left out. */
export function sources(member: Workspace): string[] {
  return filesUnder(join(member.dir, "src"), /\.ts$/);
}

/** What people wrote: a file name with `.gen.` in it says that a program did. */
export const written = (path: string): boolean => !/\.gen\.\w+$/.test(path);

/** Every specifier a TypeScript file imports or re-exports, types included. */
export function importsOf(path: string): string[] {
  return ts.preProcessFile(readFileSync(path, "utf8"), true, true).importedFiles.map((file) => file.fileName);
}

/** The package a bare specifier belongs to: "@x/ops" of "@x/ops/samples"; undefined for relative, `#` and `node:` specifiers. */
export function packageOf(specifier: string): string | undefined {
  if (/^(\.|#|\/|node:)/.test(specifier)) return undefined;
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

/** Parses a TypeScript file, with parents set. */
export function parse(path: string): ts.SourceFile {
  return ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.ES2022, true);
}

/** A path as messages show it: from the root, with forward slashes. */
export function shown(path: string): string {
  return relative(root, path).split(sep).join("/");
}

/** The files of a checkout: tracked ones and new ones that git does not ignore; deleted ones, links and folders left out. */
export function checkoutFiles(dir: string = root): string[] {
  const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "-z"], { cwd: dir, encoding: "utf8", maxBuffer: 1 << 26 });
  return [...new Set(listed.split("\0"))]
    .filter((path) => path !== "" && lstatSync(join(dir, path), { throwIfNoEntry: false })?.isFile())
    .sort();
}

/** Whether a package has content: false while its index exports nothing. */
export function hasContent(member: Workspace): boolean {
  const index = join(member.dir, "src", "index.ts");
  return existsSync(index) && !/^\s*export \{\};?\s*$/.test(readFileSync(index, "utf8"));
}

/** The source files behind a package's export conditions, by the specifier a user writes. */
export function entryPoints(member: Workspace): Map<string, string> {
  const entries = new Map<string, string>();
  for (const [subpath, target] of Object.entries(member.manifest.exports ?? {})) {
    const source = sourceTarget(target);
    if (source) entries.set(member.name + subpath.slice(1), join(member.dir, source));
  }
  return entries;
}

/** The file of the source condition; where that has conditions of its own, the default one. */
function sourceTarget(target: unknown): string | undefined {
  const source = (target as Record<string, unknown> | null)?.[`${scope}/source`];
  if (typeof source === "string") return source;
  const inner = source as Record<string, string> | undefined;
  return inner?.default ?? Object.values(inner ?? {})[0];
}
