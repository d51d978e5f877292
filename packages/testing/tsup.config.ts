import { defineConfig } from "tsup";
import { preset } from "../../tsup.preset.ts";

export default defineConfig(
  preset(
    {
      index: "src/index.ts",
      vitest: "src/vitest.ts",
      "files.node": "src/parity/files.node.ts",
      "files.browser": "src/parity/files.browser.ts",
    },
    { external: ["#files", "vitest"] },
  ),
);
