/** How many bytes a browser loads for a program: bundled from the sources, minified, gzipped. */
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { root, scope } from "./workspace.ts";

/** Bytes of a bundle, before and after gzip. */
export interface BundleSize {
  readonly bytes: number;
  readonly gzipped: number;
}

/** Bundles a program given as text; packages named in `external` are left out. Resolves packages from `resolveDir`. */
export async function bundleSize(code: string, resolveDir: string, external: readonly string[] = []): Promise<BundleSize> {
  const result = await build({
    stdin: { contents: code, resolveDir, loader: "ts" },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    platform: "browser",
    conditions: [`${scope}/source`],
    external: [...external],
    absWorkingDir: root,
    logLevel: "silent",
  });
  const bytes = result.outputFiles[0]?.contents ?? new Uint8Array();
  return { bytes: bytes.length, gzipped: gzipSync(bytes, { level: 9 }).length };
}
