import { defineConfig } from "tsup";
import { preset } from "../../tsup.preset.ts";

export default defineConfig(
  preset({
    index: "src/index.ts",
    decoder: "src/decoder/index.ts",
    gpt2: "src/gpt2/index.ts",
    llama: "src/llama/index.ts",
    "transformer-xl": "src/transformer-xl/index.ts",
  }),
);
