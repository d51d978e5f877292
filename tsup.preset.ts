import type { Options } from "tsup";

/**
 * What every published package is built with: ESM, types and source maps, for the platforms Node 20 and today's browsers share.
 * Specifiers that begin with # stay as they are: the reader's platform picks the file behind them, not the machine that builds.
 */
export function preset(entry: Record<string, string> = { index: "src/index.ts" }, options: Options = {}): Options {
  const external = [/^#/, ...(options.external ?? [])];
  return { entry, format: ["esm"], dts: true, sourcemap: true, clean: true, target: "es2022", splitting: true, ...options, external };
}
