import { defineConfig } from "tsup";
import { preset } from "../../tsup.preset.ts";

export default defineConfig(
  preset({ index: "src/index.ts", node: "src/parity/read.node.ts", vitest: "src/vitest.ts" }, { external: ["vitest"] }),
);
