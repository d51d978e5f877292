/** The repository works anywhere: nothing in it names a folder of one machine or the address of a registry. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkoutFiles, root } from "../../tools/workspace.ts";

/** Written in pieces, so that this file is no offender. */
const folder = new RegExp(`(?<![\\w./$}-])/(?:${["wo" + "rk", "ro" + "ot", "ho" + "me", "tm" + "p", "Us" + "ers"].join("|")})/[\\w.-]`);
const registry = new RegExp(`https?://[^\\s"'<>]*(?:${["regi" + "stry", "mirr" + "or", "verda" + "ccio"].join("|")})`);

test("no file that git keeps names a machine's folder or a registry", () => {
  const wrong = checkoutFiles().flatMap((path) => {
    const bytes = readFileSync(join(root, path));
    if (bytes.subarray(0, 8192).includes(0)) return [];
    return bytes
      .toString("utf8")
      .split("\n")
      .flatMap((line, at) => (folder.test(line) || registry.test(line) ? [`${path}:${at + 1}: ${line.trim().slice(0, 120)}`] : []));
  });
  expect(wrong).toEqual([]);
});
