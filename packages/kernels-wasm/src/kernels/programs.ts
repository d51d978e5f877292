import { dtypes, type Instruction, type Program } from "@x/tensor";
import type { Place, ProgramLaunch } from "../device/launch.ts";
import type { Iteration } from "../emit/index.ts";
import { grainFor, product } from "./work.ts";

/** Cost of an instruction for one element, in additions of four elements. */
const costs: Readonly<Record<string, number>> = {
  ...Object.fromEntries(["exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf", "sigmoid"].map((op) => [op, 6])),
  ...{ pow: 20, mod: 10, random: 40, div: 2, sqrt: 2, rsqrt: 4 },
};
const costOf = ({ op }: Instruction): number => costs[op] ?? 0.5;

/** The launch of a program over collapsed extents. */
export function programLaunch(program: Program, iteration: Iteration, leaves: readonly Place[], out: Place): ProgramLaunch {
  const { extents, access, strides } = iteration;
  const cost = program.instructions.reduce((sum, instruction) => sum + costOf(instruction), 0);
  // Cut at multiples of a cache line, so that no two threads write the same one.
  const grain = Math.ceil(grainFor(cost / 2) / 64) * 64;
  return { program, extents, access, strides, leaves, out, units: product(extents), grain };
}

/** Leaves that are keys of random draws. */
export function keysOf(program: Program): Set<number> {
  return new Set(program.instructions.flatMap((instruction) => (instruction.op === "random" ? [instruction.leaf] : [])));
}

/** Bytes of an element of a leaf. */
export const leafBytes = (program: Program, leaf: number): number => dtypes[program.leaves[leaf]!].bytes;
