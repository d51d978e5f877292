import { defineConfig } from "tsup";
import { preset } from "../../tsup.preset.ts";

const entry = {
  index: "src/index.ts",
  "platform.node": "src/platform.node.ts",
  "platform.browser": "src/platform.browser.ts",
};

export default defineConfig(preset(entry, { external: ["#platform"] }));
