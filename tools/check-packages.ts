/** `pnpm check:packages`: every package, packed, passes publint and "are the types wrong" for a package of ES modules alone. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { packMember } from "./pack.ts";
import { packages, readJson, root, type Workspace } from "./workspace.ts";

const attw = join(root, "node_modules/@arethetypeswrong/cli/dist/index.js");

/** What is wrong with a package; empty when nothing is. */
async function problemsOf(member: Workspace, folder: string): Promise<string[]> {
  const tarball = await packMember(member, join(folder, member.short));
  const manifest = readJson<Record<string, unknown>>(join(member.dir, "package.json"));
  const bytes = readFileSync(tarball);
  const { messages } = await publint({ pack: { tarball: new Uint8Array(bytes).buffer }, strict: true });
  const lint = messages.map((message) => `publint: ${formatMessage(message, manifest, { color: false })}`);
  const types = await promisify(execFile)(process.execPath, [attw, tarball, "--profile", "esm-only", "--no-color", "--no-emoji"]).then(
    () => [],
    (error: { stdout?: string; message: string }) => [`attw: ${error.stdout || error.message}`],
  );
  return [...lint, ...types];
}

const folder = mkdtempSync(join(tmpdir(), "check-packages-"));
try {
  let failed = 0;
  for (const member of packages) {
    const problems = await problemsOf(member, folder);
    console.log(`${problems.length === 0 ? "ok  " : "FAIL"} ${member.name}`);
    for (const problem of problems) console.log(`     ${problem}`);
    if (problems.length > 0) failed++;
  }
  console.log(`${packages.length - failed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
