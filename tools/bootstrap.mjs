/**
 * Runs a command of this repository on a machine that has Node and git and nothing else: checks the Node version, installs what the
 * lockfile says when that has not been done, then runs the command. It has no dependencies, because it runs before there are any.
 *
 * Programs (`source`) run in this very process, TypeScript and all, so a signal or an exit status is theirs without a middleman;
 * `--conditions=@x/source` on the command line of package.json lets them read the packages' sources, so nothing need be built.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** What a command runs: a program of ours, a tool from node_modules with its first arguments, or several commands one after another. */
const commands = {
  start: { source: "apps/gpt/src/quickstart.ts" },
  gpt: { source: "apps/gpt/src/main.ts" },
  playground: { tool: "vite", args: ["apps/playground"] },
  parity: { source: "apps/parity/src/main.ts" },
  tasks: { source: "apps/tasks/src/run.ts" },
  bench: { source: "bench/run.mjs" },
  test: { tool: "vitest", args: ["run"] },
  lint: { tool: "@biomejs/biome", args: ["check", "--error-on-warnings"] },
  format: { tool: "@biomejs/biome", args: ["check", "--write"] },
  typecheck: { tool: "typescript", bin: "tsc", args: ["--noEmit", "-p", "tsconfig.json"] },
  build: { tool: "turbo", args: ["run", "build"] },
  "check:packages": { steps: ["build", "check:tarballs"] },
  "check:tarballs": { source: "tools/check-packages.ts" },
  check: { steps: ["lint", "typecheck", "test"] },
  size: { source: "tools/size.ts" },
  mutate: { source: "tools/mutate.ts" },
  "bundle:gpu": { source: "tools/bundle-gpu.ts" },
  "rename-scope": { source: "tools/rename-scope.ts" },
  changeset: { tool: "@changesets/cli", bin: "changeset", args: [] },
  version: { tool: "@changesets/cli", bin: "changeset", args: ["version"] },
  release: { steps: ["check:packages", "publish"] },
  publish: { tool: "@changesets/cli", bin: "changeset", args: ["publish"] },
};

/** Ends the program with words for a person, no stack. */
function fail(message) {
  console.error(message);
  process.exit(1);
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  const [needMajor, needMinor] = manifest.engines.node.match(/\d+/g).map(Number);
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return;
  fail(`This repository needs Node ${needMajor}.${needMinor} or later; this is Node ${process.versions.node} (${process.execPath}).`);
}

/** Installs when the installed tree is not the one the lockfile describes. The stamp holds the lockfile's hash: file times lie after a clone. */
function install() {
  const hash = createHash("sha256")
    .update(readFileSync(join(root, "pnpm-lock.yaml")))
    .digest("hex");
  const stamp = join(root, "node_modules", ".installed-lockfile");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return;
  console.error("Installing dependencies ...");
  const args = ["--yes", `pnpm@${manifest.devDependencies.pnpm}`, "install", "--frozen-lockfile"];
  // npm runs scripts with its own settings in the environment; pnpm would take some of them for its own.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_(config|package)_/i.test(name)));
  const done = spawnSync("npx", args, {
    cwd: root,
    env: { ...env, CI: "true" },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    shell: process.platform === "win32",
    maxBuffer: 1 << 28,
  });
  if (done.status !== 0) {
    const why = done.error?.message ?? `${done.stdout}${done.stderr}`.trim();
    fail(`${why}\n\nCould not install the dependencies: "npx ${args.join(" ")}" failed, see above.`);
  }
  writeFileSync(stamp, hash);
}

/** The file that a tool's package.json names as its program. */
function toolFile({ tool, bin = tool.split("/").at(-1) }) {
  const path = join(root, "node_modules", tool, "package.json");
  const programs = JSON.parse(readFileSync(path, "utf8")).bin;
  return join(path, "..", typeof programs === "string" ? programs : programs[bin]);
}

/** Runs a tool as a child on our terminal; a signal that ends it ends us likewise. Resolves to its exit status. */
function runTool(command, args) {
  const bin = join(root, "node_modules", ".bin");
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}`, TURBO_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1" };
  const child = spawn(process.execPath, [toolFile(command), ...command.args, ...args], { cwd: root, stdio: "inherit", env });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  // A terminal sends Ctrl-C to the child itself; passing it on as well would be a second, ruder one.
  const pass = (signal) => (signal === "SIGINT" && process.stdin.isTTY ? undefined : child.kill(signal));
  for (const signal of signals) process.on(signal, pass);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (status, signal) => {
      for (const name of signals) process.off(name, pass);
      if (signal) process.kill(process.pid, signal);
      else resolve(status);
    });
  });
}

/** Runs one of our programs in this process. */
async function runSource({ source }, args) {
  const file = join(root, source);
  if (!existsSync(file)) fail(`${source} does not exist (yet).`);
  const { register } = await import("tsx/esm/api");
  process.setSourceMapsEnabled(true);
  register();
  process.argv = [process.argv[0], file, ...args];
  await import(pathToFileURL(file).href);
}

async function run(name, args) {
  const command = commands[name];
  if (command.source) return runSource(command, args);
  if (command.tool) {
    const status = await runTool(command, args);
    if (status !== 0) process.exit(status);
    return;
  }
  for (const step of command.steps) await run(step, []);
}

const [name, ...args] = process.argv.slice(2);
checkNode();
if (!Object.hasOwn(commands, name ?? "")) fail(`Unknown command ${name}. There are: ${Object.keys(commands).join(", ")}.`);
install();
await run(name, args[0] === "--" ? args.slice(1) : args);
