import type { Program } from "@x/tensor";
import { type ArgumentLayout, layoutOf } from "./arguments.ts";
import { assemble } from "./assembler.ts";
import { type LeafAccess, maximumRank } from "./collapse.ts";
import { runFunction } from "./loop.ts";
import { remainderFunction } from "./remainder.ts";
import { unsupported } from "./unsupported.ts";

export interface CompileOptions {
  /** Of each leaf, as `collapse` gives it. */
  readonly access: readonly LeafAccess[];
  /** Dimensions of the collapsed iteration, 1 to 6. Extents and strides are arguments: one module serves all sizes. */
  readonly rank: number;
  /** Whether the memory is shared between threads. */
  readonly shared: boolean;
  /** Whether elementary functions may round a multiplication and an addition once (relaxed SIMD); absent: no. */
  readonly fused?: boolean;
}

export interface CompiledProgram {
  /**
   * A module that imports `env.memory` alone and exports `run(begin: i32, end: i32, args: i32)`, which computes the elements
   * [begin, end) of the row-major order (unsigned); any cut gives the same bits. An output may lie over a contiguous leaf of its dtype's width.
   */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly layout: ArgumentLayout;
}

/** Instructions up to which four vectors make one turn of the loop (measured: GELU takes 1.4 times as long with one); two beyond, for size. */
const unrolledInstructions = 16;

/** Compiles `program` for one class of accesses. Throws where `unsupported` gives a reason. */
export function compileProgram(program: Program, { access, rank, shared, fused = false }: CompileOptions): CompiledProgram {
  const reason = unsupported(program) ?? mismatch(program, access, rank);
  if (reason) throw new Error(`compileProgram: ${reason}`);
  const run = runFunction(program, access, rank, fused, program.instructions.length <= unrolledInstructions ? 4 : 2);
  const remainders = program.instructions.some(({ op, type }) => op === "mod" && type === "f32") ? [remainderFunction()] : [];
  return { bytes: assemble([run, ...remainders], shared), layout: layoutOf(program, rank) };
}

/** What of a program and its accesses a module depends on, for a cache of modules. */
export function cacheKey(program: Program, { access, rank, shared, fused = false }: CompileOptions): string {
  return JSON.stringify([program, access, rank, shared, fused], (_, value) =>
    typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0)) ? `${1 / value}:${value}` : value,
  );
}

function mismatch(program: Program, access: readonly LeafAccess[], rank: number): string | undefined {
  if (!(Number.isInteger(rank) && rank >= 1 && rank <= maximumRank)) {
    return `rank must be 1 to ${maximumRank} after collapsing, got ${rank}; copy the leaves to contiguous first`;
  }
  if (access.length !== program.leaves.length) return `access must name ${program.leaves.length} leaves, got ${access.length}`;
  for (const instruction of program.instructions) {
    if (instruction.op !== "leaf" && instruction.op !== "random") continue;
    const isKey = access[instruction.leaf] === "key";
    if (isKey !== (instruction.op === "random")) {
      return `leaf ${instruction.leaf} is read by ${instruction.op}, so its access cannot be "${access[instruction.leaf]}"; a key is read by random alone`;
    }
  }
  return undefined;
}
