/**
 * `pnpm bench cpu|webgpu|attention [--only NAME] [--against NAME,...] [--lengths N,...] [--limit S] [--threads 1,2] [--driver NAME] [--gpu] [--launches N] [--quick] [--save NAME] [--seed S]`
 *
 * Installs the peers into bench/peers from their own lockfile when they are missing, then measures.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { stdio: "inherit", ...options });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** Whether what is installed is what the lockfile says; npm keeps its own account of that. */
function installed() {
  const account = at("peers/node_modules/.package-lock.json");
  if (!existsSync(account)) return false;
  const versions = (path) => Object.entries(JSON.parse(readFileSync(path, "utf8")).packages).filter(([name]) => name !== "");
  const there = new Map(versions(account).map(([name, { version }]) => [name, version]));
  return versions(at("peers/package-lock.json")).every(([name, { version, optional }]) => optional || there.get(name) === version);
}

if (!installed()) {
  console.error("bench: installing the peers into bench/peers (about 750 MB) ...");
  const windows = process.platform === "win32";
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: at("peers"), shell: windows });
}
run(process.execPath, ["--conditions=@x/source", "--import", "tsx", at("src/main.ts"), ...process.argv.slice(2)], { cwd: at(".") });
