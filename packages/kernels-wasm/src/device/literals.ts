import { encode, type Instruction, type RegisterType } from "@x/tensor";
import type { ProgramLaunch } from "./launch.ts";

/** The buffer that holds the literals of a program that has none of its own. */
export const literalBuffer = "literals";

export interface WithoutLiterals {
  readonly launch: ProgramLaunch;
  /** The literals as words, in the order of their leaves. */
  readonly words: Int32Array<ArrayBuffer>;
}

/** The same program with each literal as a leaf that repeats one word of `literalBuffer`: one module serves all their values. */
export function withoutLiterals(launch: ProgramLaunch): WithoutLiterals {
  const { program, extents } = launch;
  const words: number[] = [];
  const leaves: RegisterType[] = [];
  const first = program.leaves.length;
  const instructions = program.instructions.map((instruction): Instruction => {
    if (instruction.op !== "literal") return instruction;
    const { type, value } = instruction;
    words.push(wordOf(value, type));
    return { op: "leaf", leaf: first + leaves.push(type) - 1, type };
  });
  const each = <T>(value: T): T[] => leaves.map(() => value);
  return {
    launch: {
      ...launch,
      program: { ...program, leaves: [...program.leaves, ...leaves], instructions },
      access: [...launch.access, ...each("broadcast" as const)],
      strides: [...launch.strides, ...each(extents.map(() => 0))],
      leaves: [...launch.leaves, ...leaves.map((_, i) => ({ buffer: literalBuffer, offset: 4 * i }))],
    },
    words: Int32Array.from(words),
  };
}

/** A literal as a register type stores it: f32 as bits, integers wrapped, a truth value as a byte. */
function wordOf(value: number, type: RegisterType): number {
  if (type === "bool") return value ? 1 : 0;
  return type === "f32" ? new DataView(encode([value], "f32").buffer).getInt32(0, true) : value | 0;
}
