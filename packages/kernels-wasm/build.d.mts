export type BuildName = "mul" | "fma";
export const hasCompiler: boolean;
export const headerPath: string;
export function compile(build: BuildName): Buffer;
export function generated(build: BuildName, bytes: Buffer): string;
export function generatedPath(build: BuildName): string;
