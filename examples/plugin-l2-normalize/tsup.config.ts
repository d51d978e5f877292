import { defineConfig } from "tsup";

const entry = { index: "src/index.ts", wasm: "src/wasm.ts", webgpu: "src/webgpu.ts", samples: "src/samples.ts" };
export default defineConfig({ entry, format: ["esm"], dts: true, sourcemap: true, clean: true, target: "es2022" });
