import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import v8 from "node:v8";
import { type Competitor, timed } from "./competitor.ts";
import { bytes, flops } from "./workloads.ts";

/*
 * The most that 128-bit fused multiply-adds on registers alone can do: the same number of operations as the workload,
 * with no memory behind them. `ceiling/native` is C, compiled here; `ceiling/wasm` is a module assembled here.
 * The larger rate of the two is the ceiling. One thread.
 */

const accumulators = 10;
const unroll = 4;
const flopsPerTurn = accumulators * unroll * 4 * 2;

/** The ceiling as a competitor: `variant` is `wasm`, `native` or `webgpu`. */
export async function competitor(variant = "wasm"): Promise<Competitor> {
  if (variant === "webgpu") return (await import("./ceiling-gpu.ts")).gpuCeiling();
  return {
    version: () => (variant === "native" ? "cc" : "relaxed SIMD"),
    async prepare({ work, threads }) {
      const total = flops(work);
      if (total === undefined || bytes(work) !== undefined || threads !== 1) return undefined;
      const turns = Math.round(total / flopsPerTurn);
      if (variant === "native") {
        const binary = compileNative();
        if (!binary) return undefined;
        return { sample: async () => Number(execFileSync(binary, [String(turns)], { encoding: "utf8" })) };
      }
      const run = compileWasm();
      return run && { sample: timed(() => run(turns)) };
    },
  };
}

function compileNative(): string | undefined {
  const source = fileURLToPath(new URL("../native/fma-ceiling.c", import.meta.url));
  const binary = join(mkdtempSync(join(tmpdir(), "ceiling-")), "fma-ceiling");
  try {
    execFileSync(process.env.CC ?? "cc", ["-O2", "-o", binary, source], { stdio: "ignore" });
    return binary;
  } catch {
    return undefined;
  }
}

function compileWasm(): ((turns: number) => void) | undefined {
  const binary = fmaModule();
  if (!WebAssembly.validate(binary)) v8.setFlagsFromString("--experimental-wasm-relaxed-simd");
  if (!WebAssembly.validate(binary)) return undefined;
  const instance = new WebAssembly.Instance(new WebAssembly.Module(binary));
  return instance.exports.run as (turns: number) => void;
}

/** A module with `run(turns: i32) -> f32`: `accumulators` chains of relaxed fused multiply-adds on registers. */
export function fmaModule(): Uint8Array<ArrayBuffer> {
  const constant = (value: number) => [0x43, ...new Uint8Array(new Float32Array([value]).buffer), 0xfd, 0x13]; // f32.const, splat
  const get = (local: number) => [0x20, local];
  const set = (local: number) => [0x21, local];
  const first = 1;
  const [x, y] = [first + accumulators, first + accumulators + 1];
  const chains = Array.from({ length: accumulators }, (_, i) => first + i);
  const multiplyAdd = (i: number) => [...get(x), ...get(y), ...get(i), 0xfd, 0x85, 0x02, ...set(i)]; // f32x4.relaxed_madd
  const turn = Array.from({ length: unroll }, () => chains.flatMap(multiplyAdd)).flat();
  const code = [
    ...[1, accumulators + 2, 0x7b], // locals: one group of v128
    ...[...constant(0.5), ...set(x), ...constant(0.25), ...set(y)],
    ...[0x03, 0x40, ...turn], // loop
    ...[...get(0), 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b], // turns -= 1, again while not zero
    ...[...get(first), ...chains.slice(1).flatMap((i) => [...get(i), 0xfd, 0xe4, 0x01])], // f32x4.add
    ...[0xfd, 0x1f, 0, 0x0b], // lane 0, end
  ];
  const sized = (body: number[]) => [...leb(body.length), ...body];
  const section = (id: number, body: number[]) => [id, ...sized(body)];
  return new Uint8Array([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 1, 0x7f, 1, 0x7d]),
    ...section(3, [1, 0]),
    ...section(7, [1, 3, 0x72, 0x75, 0x6e, 0, 0]),
    ...section(10, [1, ...sized(code)]),
  ]);
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}
