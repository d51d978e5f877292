/** Importing a package does nothing: no registration, no detection, no globals. Only then is `sideEffects: false` true. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { build, transform } from "esbuild";
import { describe, expect, test } from "vitest";
import { entryPoints, packages, root, scope, shown, sources } from "../../tools/workspace.ts";

/**
 * Run before the import: everything that an import could do to the process is recorded. Prints a list of what happened.
 * Loading a module reads files and the loader has its own listeners, so those are compared, not forbidden.
 */
const watched = `
const happened = [];
const watch = (owner, name, label) => {
  const original = owner[name];
  if (typeof original !== "function") return;
  const record = { apply: (f, self, args) => (happened.push(label), Reflect.apply(f, self, args)),
                   construct: (f, args, target) => (happened.push(label), Reflect.construct(f, args, target)) };
  Object.defineProperty(owner, name, { value: new Proxy(original, record), configurable: true, writable: true });
};
for (const name of ["fetch", "setTimeout", "setInterval", "setImmediate", "queueMicrotask", "Worker"])
  watch(globalThis, name, name);
for (const name of ["Memory", "Module", "Instance", "compile", "instantiate", "validate"]) watch(WebAssembly, name, "WebAssembly." + name);
for (const name of ["log", "info", "warn", "error", "debug"]) watch(console, name, "console." + name);
for (const name of ["now"]) { watch(Date, name, "Date.now"); watch(performance, name, "performance.now"); }
watch(Math, "random", "Math.random");
watch(crypto, "getRandomValues", "crypto.getRandomValues");
const shape = () => ({
  globals: Reflect.ownKeys(globalThis).map(String), listeners: process.eventNames().map(String),
  array: Reflect.ownKeys(Array.prototype).length, object: Reflect.ownKeys(Object.prototype).length,
  typed: Reflect.ownKeys(Object.getPrototypeOf(Float32Array.prototype)).length,
});
const before = shape();
`;
const compared = `
const after = shape();
for (const key of Object.keys(before))
  if (JSON.stringify(before[key]) !== JSON.stringify(after[key])) happened.push("changed " + key);
process.stdout.write("\\n" + JSON.stringify(happened));
`;

/** The bundle of a package's entry as one script for Node, with its own annotations ignored: nothing is dropped, everything runs. */
async function bundled(path: string): Promise<string> {
  const result = await build({
    stdin: { contents: `${watched}const it = await import(${JSON.stringify(path)}); void it;${compared}`, resolveDir: root, loader: "ts" },
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    conditions: [`${scope}/source`, "node"],
    ignoreAnnotations: true,
    absWorkingDir: root,
  });
  return result.outputFiles[0]?.text ?? "";
}

describe.each(packages.flatMap((member) => [...entryPoints(member)]))("%s", (specifier, path) => {
  test("changes nothing and calls nothing when it is imported", async () => {
    const child = spawnSync(process.execPath, ["--input-type=module"], { cwd: root, input: await bundled(path), encoding: "utf8" });
    expect(child.stderr).toBe("");
    const [said, happened] = child.stdout.split(/\n(?=\[.*$)/);
    expect(said).toBe("");
    expect(JSON.parse(happened ?? "null")).toEqual([]);
  });

  test("leaves nothing behind in a bundle that imports it for nothing", async () => {
    const result = await build({
      stdin: { contents: `import ${JSON.stringify(specifier)};`, resolveDir: memberDir(path), loader: "ts" },
      bundle: true,
      write: false,
      format: "esm",
      platform: "browser",
      conditions: [`${scope}/source`],
      logLevel: "silent",
    });
    expect(result.outputFiles[0]?.text.replace(/^\/\/.*$/gm, "").trim()).toBe("");
  });
});

/** A folder from which the package's own name resolves: inside the package itself. */
function memberDir(path: string): string {
  return packages.find(({ dir }) => path.startsWith(`${dir}/`))?.dir ?? root;
}

test("no top-level await: require() of an ES module cannot wait", async () => {
  const waiting = await Promise.all(
    packages.flatMap(sources).map((path) =>
      transform(readFileSync(path, "utf8"), { loader: "ts", format: "cjs", sourcefile: shown(path), logLevel: "silent" }).then(
        () => [],
        (error: Error) => (error.message.includes("Top-level await") ? [shown(path)] : [error.message]),
      ),
    ),
  );
  expect(waiting.flat()).toEqual([]);
});
