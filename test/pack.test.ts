/**
 * What a user gets: every package built, packed, installed with npm in an empty folder far from this workspace, and used there - by import,
 * by require, by the type checker and by a browser's bundler. Nothing is fetched: third parties are packed from where they are installed.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { build, transform } from "esbuild";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildAll, packAll, packMember } from "../tools/pack.ts";
import { allSnippets, forRequire } from "../tools/snippets.ts";
import { entryPoints, packages, root, scope } from "../tools/workspace.ts";

const run = promisify(execFile);
const home = realpathSync(mkdtempSync(join(tmpdir(), "pack-test-")));

const plugin = join(root, "examples", "plugin-l2-normalize");

beforeAll(async () => {
  await buildAll();
  const tarballs = await packAll(join(home, "tarballs"));
  tarballs.set("plugin-l2-normalize", await packMember({ dir: plugin }, join(home, "tarballs", "plugin")));
  const dependencies = Object.fromEntries([...tarballs].map(([name, path]) => [name, `file:${path}`]));
  writeFileSync(join(home, "package.json"), JSON.stringify({ name: "user", private: true, type: "module", dependencies }));
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  const args = [
    "install",
    "--offline",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--loglevel=error",
    `--cache=${join(home, "cache")}`,
  ];
  await run("npm", args, { cwd: home, env });
  // Dawn is too large to be packed and unpacked for this; it is an optional peer, which its user installs.
  symlinkSync(realpathSync(join(root, "packages", "kernels-webgpu", "node_modules", "webgpu")), join(home, "node_modules", "webgpu"));
}, 600_000);

afterAll(() => rmSync(home, { recursive: true, force: true }));

const entries = packages.flatMap((member) => [...entryPoints(member).keys()]);
/** Every entry point on its own, and every example of a README: name and TypeScript. */
const programs = [
  ...entries.map((specifier) => [specifier, `import * as it from "${specifier}";\nvoid it;\n`] as const),
  ...allSnippets().map(({ owner, code }) => [`the README of ${owner}`, code] as const),
];

/** Writes a program into a folder of its own beside the installed packages. */
function write(folder: string, file: string, code: string): string {
  const path = join(home, folder.replace(/[^\w-]+/g, "_"), file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, code);
  return path;
}

const swiftShader = "/usr/lib/chromium/vk_swiftshader_icd.json";

/** What a run of Node says about a failure; undefined when it succeeds. */
async function failureOf(path: string, args: readonly string[] = []): Promise<string | undefined> {
  const env = existsSync(swiftShader) ? { ...process.env, VK_DRIVER_FILES: swiftShader } : process.env;
  return run(process.execPath, [path, ...args], { cwd: dirname(path), env, timeout: 110_000 }).then(
    () => undefined,
    (error: { stdout?: string; stderr?: string; message: string }) => `${error.stdout ?? ""}${error.stderr ?? ""}` || error.message,
  );
}

describe("a plugin, packed and installed like any other package", () => {
  const conformance = readFileSync(join(plugin, "test", "conformance.test.ts"), "utf8");
  test.for([["wasm"], ["webgpu"]] as const)("passes its conformance suite on %s", async ([device], { skip }) => {
    if (device === "webgpu" && !existsSync(swiftShader) && process.env.CI !== "true") skip("the swiftshader driver is not installed");
    const { code } = await transform(conformance, { loader: "ts", format: "esm", target: "node20" });
    expect(await failureOf(write("plugin", "conformance.mjs", code), [device])).toBeUndefined();
  });
});

describe.concurrent.each(programs)("%s", { timeout: 120_000 }, (name, code) => {
  test("runs by import", async ({ expect }) => {
    const { code: program } = await transform(code, { loader: "ts", format: "esm", target: "node20" });
    expect(await failureOf(write(name, "import.mjs", program))).toBeUndefined();
  });

  test("runs by require", async ({ expect }) => {
    const { code: program } = await transform(forRequire(code), { loader: "ts", format: "cjs", target: "node20" });
    expect(program).toContain("require(");
    expect(await failureOf(write(name, "require.cjs", program))).toBeUndefined();
  });

  test("is bundled for a browser", async ({ expect }) => {
    const entry = write(name, "browser.ts", code);
    const result = await build({
      entryPoints: [entry],
      bundle: true,
      write: false,
      format: "esm",
      platform: "browser",
      logLevel: "silent",
    });
    expect(result.warnings).toEqual([]);
  });
});

test("the types hold where they are installed, our declaration files included", () => {
  const files = programs.map(([name, code]) => write(name, "typed.ts", `export {};\n${code}`));
  const options: ts.CompilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ["lib.es2023.d.ts", "lib.dom.d.ts", "lib.esnext.disposable.d.ts"],
    typeRoots: [join(root, "node_modules", "@types")],
    types: ["node"],
  };
  const diagnostics = ts.getPreEmitDiagnostics(ts.createProgram(files, options));
  expect(diagnostics.map((each) => ts.formatDiagnostic(each, formatHost))).toEqual([]);
}, 120_000);

const formatHost = { getCanonicalFileName: (name: string) => name, getCurrentDirectory: () => home, getNewLine: () => "\n" };

describe("one model brings in no layer package that it is not made of", () => {
  /** What the layers of each model come from. */
  const madeOf: Record<string, string[]> = {
    decoder: ["norm", "posenc", "attention", "attention-linear"],
    "transformer-xl": ["norm", "attention"],
    gpt2: ["norm", "posenc", "attention"],
    llama: ["norm", "posenc", "attention"],
    mistral: ["norm", "posenc", "attention"],
    qwen3: ["norm", "posenc", "attention"],
  };
  /** What any model may stand on. */
  const ground = ["tensor", "ops", "nn", "checkpoint", "models"];
  const models = entries.filter((specifier) => specifier.startsWith(`${scope}/models/`)).map((specifier) => specifier.split("/")[2] ?? "");

  test("there is a model", () => expect(models).not.toEqual([]));

  test.each(models)("%s", async (model) => {
    expect(madeOf, "Say in this table which layer packages the model is made of.").toHaveProperty(model);
    const entry = write(`model ${model}`, "bundle.ts", `import * as it from "${scope}/models/${model}";\nconsole.log(it);\n`);
    const result = await build({ entryPoints: [entry], bundle: true, write: false, format: "esm", platform: "browser", metafile: true });
    const inside = Object.values(result.metafile.outputs).flatMap(({ inputs }) =>
      Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => {
        const name = new RegExp(`node_modules/${scope}/([^/]+)/`).exec(path)?.[1];
        return name && bytesInOutput > 0 ? [name] : [];
      }),
    );
    expect([...new Set(inside)].filter((name) => !ground.includes(name) && !madeOf[model]?.includes(name))).toEqual([]);
  });
});
