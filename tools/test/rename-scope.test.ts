import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mentions, renameScope } from "../rename-scope.ts";
import { checkoutFiles, root, scope } from "../workspace.ts";

const copy = mkdtempSync(join(tmpdir(), "rename-scope-"));
const files = checkoutFiles().filter((path) => !/\.(safetensors|npz|bin|wasm)$/.test(path));
/** Spelt in two pieces, because a file that mentions the new scope already is refused. */
const other = ["@", "acme-nets"].join("");

beforeAll(() => {
  for (const path of files) cpSync(join(root, path), join(copy, path));
  execFileSync("git", ["init", "--quiet"], { cwd: copy });
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

const textOf = (path: string) => readFileSync(join(copy, path), "utf8");

test("leaves no mention of the old scope, and the way back leads to the same bytes", () => {
  const changed = renameScope(copy, other);
  expect(changed.length).toBeGreaterThan(20);
  expect(files.filter((path) => mentions(scope).test(textOf(path)))).toEqual([]);
  expect(JSON.parse(textOf("packages/tensor/package.json"))).toMatchObject({
    name: `${other}/tensor`,
    exports: { ".": { [`${other}/source`]: "./src/index.ts" } },
  });
  expect(JSON.parse(textOf("package.json")).config.scope).toBe(other);
  expect(textOf("tsconfig.base.json")).toContain(`${other}/source`);
  expect(textOf(".changeset/config.json")).toContain(`${other}/*`);

  expect(renameScope(copy, scope).sort()).toEqual(changed.sort());
  expect(files.filter((path) => !readFileSync(join(root, path)).equals(readFileSync(join(copy, path))))).toEqual([]);
});

test("refuses what is no scope, and does nothing for the scope in force", () => {
  for (const name of ["acme", "@Acme", "@", "@a/b", ""]) expect(() => renameScope(copy, name)).toThrow(/is not an npm scope/);
  expect(renameScope(copy, scope)).toEqual([]);
});

test("refuses a scope that the files mention already", () => {
  expect(() => renameScope(copy, "@types")).toThrow(/mentions @types already/);
});

test("tells a scope from words that contain it", () => {
  const text = "@a/b @a, @a. a@a.org @ab @a-b x@a @a.b/c";
  expect(text.replace(mentions("@a"), "@z")).toBe("@z/b @z, @z. a@a.org @ab @a-b x@a @a.b/c");
});
