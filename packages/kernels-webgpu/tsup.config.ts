import { defineConfig } from "tsup";
import { preset } from "../../tsup.preset.ts";

export default defineConfig(
  preset(
    { index: "src/index.ts", "platform.node": "src/platform.node.ts", "platform.browser": "src/platform.browser.ts" },
    { external: ["#platform"] },
  ),
);
