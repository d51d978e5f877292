/** Packs packages as they would be published, and what they need from third parties as it is installed here. */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, realpathSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { packages, root, scope, type Workspace } from "./workspace.ts";

const run = promisify(execFile);

/** Runs a program of node_modules in a folder, with the workspace's tools on the path; rejects with its output when it fails. */
async function runTool(program: string, args: readonly string[], cwd: string): Promise<void> {
  // Settings that npm or pnpm put into the environment of a script are for that script, not for this one.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm|pnpm)_/i.test(name)));
  env.PATH = `${join(root, "node_modules", ".bin")}${delimiter}${env.PATH}`;
  await run(process.execPath, [join(root, "node_modules", program), ...args], { cwd, env, maxBuffer: 1 << 26 }).catch((error) => {
    throw new Error(`${program} ${args.join(" ")} failed in ${cwd}:\n${error.stdout}${error.stderr}`);
  });
}

/** Builds every package; what is unchanged since the last time comes from turbo's cache. */
export async function buildAll(): Promise<void> {
  await runTool("turbo/bin/turbo", ["run", "build", "--output-logs=errors-only"], root);
}

/** Packs one built package into a folder and gives the tarball's path. */
export async function packMember(member: Pick<Workspace, "dir">, into: string): Promise<string> {
  mkdirSync(into, { recursive: true });
  const before = new Set(readdirSync(into));
  await runTool("pnpm/bin/pnpm.cjs", ["pack", "--pack-destination", into], member.dir);
  const made = readdirSync(into).find((name) => name.endsWith(".tgz") && !before.has(name));
  if (!made) throw new Error(`pnpm pack made no tarball of ${member.dir} in ${into}.`);
  return join(into, made);
}

/** Tarballs by package name: every package of ours, and every third-party package that one of ours needs at run time. */
export async function packAll(into: string): Promise<Map<string, string>> {
  const tarballs = new Map<string, string>();
  for (const member of packages) tarballs.set(member.name, await packMember(member, join(into, member.short)));
  for (const [name, dir] of thirdParties()) tarballs.set(name, await packMember({ dir }, join(into, name.replace("/", "+"))));
  return tarballs;
}

/** The folders where third-party run-time dependencies are installed, by name. */
function thirdParties(): Map<string, string> {
  const found = new Map<string, string>();
  for (const { dir, manifest } of packages)
    for (const name of Object.keys(manifest.dependencies ?? {}))
      if (!name.startsWith(`${scope}/`)) found.set(name, realpathSync(join(dir, "node_modules", name)));
  return found;
}
