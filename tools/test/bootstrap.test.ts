import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readJson, root, scope } from "../workspace.ts";

const bootstrap = (...args: string[]) =>
  spawnSync(process.execPath, [`--conditions=${scope}/source`, join(root, "tools", "bootstrap.mjs"), ...args], { encoding: "utf8" });

test("a program gets its arguments, with or without npm's dashes, and its exit status is ours", () => {
  for (const args of [
    ["two", "names"],
    ["--", "two", "names"],
  ]) {
    const { status, stderr } = bootstrap("rename-scope", ...args);
    expect(stderr).toContain("Usage: pnpm rename-scope @NAME");
    expect(status).toBe(2);
  }
});

test("a tool gets its arguments, and its exit status is ours", () => {
  const version = bootstrap("typecheck", "--version");
  expect(version.stdout).toMatch(/^Version 5\.9\./);
  expect(version.status).toBe(0);
  expect(bootstrap("typecheck", "--noSuchOption").status).toBe(1);
});

test("an unknown command is an error that lists the known ones", () => {
  const { status, stderr } = bootstrap("strat");
  expect(stderr).toContain("Unknown command strat. There are: start, gpt,");
  expect(status).toBe(1);
});

test("every script of package.json is a command of its own name", () => {
  const { scripts } = readJson<{ scripts: Record<string, string> }>(join(root, "package.json"));
  for (const [name, line] of Object.entries(scripts)) expect(line).toBe(`node --conditions=${scope}/source tools/bootstrap.mjs ${name}`);
});
