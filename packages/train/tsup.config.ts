import { defineConfig } from "tsup";
import { preset } from "../../tsup.preset.ts";

export default defineConfig(
  preset(
    {
      index: "src/index.ts",
      "append-file.node": "src/metrics/append-file.node.ts",
      "append-file.browser": "src/metrics/append-file.browser.ts",
    },
    { external: ["#append-file"] },
  ),
);
