import { fmaBytes } from "./kernels-fma.gen.ts";
import { mulBytes } from "./kernels-mul.gen.ts";
import type { Platform } from "./platform.ts";

export type Build = "fma" | "mul";

/** A module of one relaxed multiply-add, to ask whether the host takes it. */
const relaxedProbe = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0, 10, 19, 1, 17, 0],
  ...[0x41, 0, 0xfd, 15, 0x41, 0, 0xfd, 15, 0x41, 0, 0xfd, 15, 0xfd, 0x85, 2, 0x0b],
);

/**
 * The build this host runs: relaxed FMA where it is allowed, else multiply and add. With `allowFlag`, Node 20 is asked to switch
 * relaxed SIMD on, for the whole process.
 */
export function chooseBuild(platform: Platform, allowFlag = true): Build {
  if (WebAssembly.validate(relaxedProbe)) return "fma";
  if (allowFlag) platform.enableRelaxedSimd();
  return WebAssembly.validate(relaxedProbe) ? "fma" : "mul";
}

/** The bytes of the built-in kernels. */
export function kernelBytes(build: Build): Uint8Array<ArrayBuffer> {
  const text = atob(build === "fma" ? fmaBytes : mulBytes);
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
