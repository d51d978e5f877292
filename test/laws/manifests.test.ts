/** What every package.json says alike, and what the repository says once. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { filesUnder, hasContent, packages, readJson, root, scope, workspaces } from "../../tools/workspace.ts";

describe.each(packages.map((member) => [member.short, member] as const))("%s", (short, { name, dir, manifest }) => {
  test("is named after its folder, in the one scope", () => {
    expect(name).toBe(`${scope}/${short}`);
  });

  test("can be published: ESM, licensed, described, free of side effects, on Node 20.19", () => {
    const { type, license, sideEffects, engines } = manifest;
    expect({ type, license, sideEffects, engines }).toEqual({
      type: "module",
      license: "MIT",
      sideEffects: false,
      engines: { node: ">=20.19" },
    });
    expect(manifest.private).toBeUndefined();
    expect(manifest.description).toMatch(/\S/);
  });

  test("orders its conditions source, types, browser, node, default: the first that matches wins", () => {
    const order = [`${scope}/source`, "types", "browser", "node", "default"];
    for (const [subpath, target] of Object.entries(manifest.exports ?? {})) {
      if (typeof target === "string") continue;
      const conditions = Object.keys(target as object);
      expect(conditions.every((condition) => order.includes(condition), subpath)).toBe(true);
      expect(conditions, subpath).toEqual(order.filter((condition) => conditions.includes(condition)));
    }
  });

  test("names files that exist behind its source conditions", () => {
    const text = readFileSync(join(dir, "package.json"), "utf8");
    const named = [...text.matchAll(/"(\.\/src\/[^"*]+)"/g)].map((match) => match[1] ?? "");
    expect(named.filter((path) => !existsSync(join(dir, path)))).toEqual([]);
  });
});

test("every app and package takes shared versions from the catalog, so that there is one of each", () => {
  const wrong = workspaces().flatMap(({ name, manifest }) =>
    Object.entries({ ...manifest.dependencies, ...manifest.devDependencies, ...manifest.peerDependencies })
      .filter(([, range]) => !/^(workspace:|catalog:)/.test(range))
      .filter(([dependency]) => !manifest.peerDependenciesMeta?.[dependency]?.optional)
      .map(([dependency, range]) => `${name}: ${dependency} ${range}`),
  );
  expect(wrong).toEqual([]);
});

test("the version of pnpm that installs is the one that packageManager names", () => {
  const manifest = readJson<{ packageManager: string; devDependencies: { pnpm: string } }>(join(root, "package.json"));
  expect(manifest.packageManager).toBe(`pnpm@${manifest.devDependencies.pnpm}`);
});

test("a package with content has tests, or nothing would notice it breaking", () => {
  const untested = packages.filter(hasContent).filter(({ dir }) => filesUnder(join(dir, "test"), /\.test\.ts$/).length === 0);
  expect(untested.map(({ short }) => short)).toEqual([]);
});

test("no package needs itself through others, development included: building follows this order, and a cycle has none", () => {
  const needs = new Map(
    workspaces().map(({ name, manifest }) => [
      name,
      Object.keys({ ...manifest.dependencies, ...manifest.devDependencies, ...manifest.peerDependencies }),
    ]),
  );
  // The one circle, of tensor, ops and their tests, is cut in turbo.json: testing is built from sources and waits for nobody.
  needs.set(`${scope}/testing`, []);
  expect(cycleOf(needs)).toEqual([]);
});

test("a cycle is found, wherever it begins", () => {
  const chain = { a: ["b"], b: ["c", "outside"], c: ["d"], d: [] as string[] };
  expect(cycleOf(new Map(Object.entries(chain)))).toEqual([]);
  expect(cycleOf(new Map(Object.entries({ ...chain, d: ["b"] })))).toEqual(["b", "c", "d", "b"]);
});

/** The first way from a name back to itself. */
function cycleOf(needs: ReadonlyMap<string, readonly string[]>): string[] {
  const cleared = new Set<string>();
  const search = (name: string, way: readonly string[]): string[] => {
    if (way.includes(name)) return [...way.slice(way.indexOf(name)), name];
    if (cleared.has(name)) return [];
    for (const next of needs.get(name) ?? []) {
      const cycle = search(next, [...way, name]);
      if (cycle.length > 0) return cycle;
    }
    cleared.add(name);
    return [];
  };
  for (const name of needs.keys()) {
    const cycle = search(name, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}
