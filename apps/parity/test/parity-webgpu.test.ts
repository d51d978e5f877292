import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { onAdapter } from "../../../packages/kernels-webgpu/test/adapter.ts";
import { checkParity } from "../src/parity.ts";
import { asText, passes } from "../src/report.ts";

const fixtures = fileURLToPath(new URL("../../../fixtures", import.meta.url));
const directories = [...readdirSync(join(fixtures, "parity")).map((name) => `parity/${name}`), "layers"];

/** What published implementations gave, on a GPU's kernels. */
await onAdapter(
  (device) => {
    for (const name of directories)
      test(name, async () => {
        const report = await checkParity(join(fixtures, name), device);
        expect(passes(report) ? "" : asText(report)).toBe("");
        expect(report.outputs.length).toBeGreaterThan(4);
      });
  },
  "swiftshader",
  {},
);
