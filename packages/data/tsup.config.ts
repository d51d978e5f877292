import { defineConfig } from "tsup";
import { preset } from "../../tsup.preset.ts";

const entry = {
  index: "src/index.ts",
  // A file of its own, so that a bundle without it leaves the library of tokenizers out.
  huggingface: "src/tokenizers/huggingface.ts",
  "platform.node": "src/platform.node.ts",
  "platform.browser": "src/platform.browser.ts",
};

export default defineConfig(preset(entry, { external: ["#platform"] }));
