import type { Options } from "tsup";

/** What every published package is built with: ESM, types and source maps, for the platforms Node 20 and today's browsers share. */
export function preset(entry: Record<string, string> = { index: "src/index.ts" }, options: Options = {}): Options {
  return { entry, format: ["esm"], dts: true, sourcemap: true, clean: true, target: "es2022", splitting: true, ...options };
}
