/** A README opens with an example that works when pasted: the first minute with a package decides whether there is a second one. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { allSnippets, readmeOf } from "../../tools/snippets.ts";
import { hasContent, packages, root, scope, shown } from "../../tools/workspace.ts";

describe.each(packages.map((member) => [member.short, member] as const))("%s", (short, member) => {
  test("has a README that opens with a sentence and a snippet under ten lines", ({ skip }) => {
    if (!hasContent(member)) skip(`${short} exports nothing yet`);
    const snippet = readmeOf(member);
    expect(snippet, `packages/${short}/README.md needs a \`\`\`ts block`).toBeDefined();
    expect(snippet?.firstFence).toBe("ts");
    const paragraphs = snippet?.intro
      .replace(/^#.*$/gm, "")
      .trim()
      .split(/\n\s*\n/);
    expect(paragraphs).toEqual([expect.stringMatching(/\S[.:]$/)]);
    expect(snippet?.code.trim().split("\n").length).toBeLessThan(10);
  });
});

const snippets = allSnippets();

/** A folder in which every package of the workspace is installed, as its reader would have them. */
const installed = installAll();
afterAll(() => rmSync(installed, { recursive: true, force: true }));

describe("runs as printed", () => {
  test("there are examples", () => expect(snippets).not.toEqual([]));

  test.each(snippets.map((snippet) => [shown(snippet.file), snippet] as const))("%s", async (_, { owner, code }) => {
    const home = join(installed, owner);
    mkdirSync(home);
    writeFileSync(join(home, "snippet.ts"), code);
    const args = ["--import", "tsx", `--conditions=${scope}/source`, "snippet.ts"];
    const run = promisify(execFile)(process.execPath, args, { cwd: home, timeout: 55_000 });
    const failure = await run.then(
      () => undefined,
      (error: { stderr?: string; message: string }) => error.stderr || error.message,
    );
    expect(failure).toBeUndefined();
  });
});

function installAll(): string {
  mkdirSync(join(root, "node_modules", ".snippets"), { recursive: true });
  const home = mkdtempSync(join(root, "node_modules", ".snippets", "run-"));
  mkdirSync(join(home, "node_modules", scope), { recursive: true });
  for (const { name, dir } of packages) symlinkSync(dir, join(home, "node_modules", name), "junction");
  writeFileSync(join(home, "package.json"), JSON.stringify({ type: "module" }));
  return home;
}
