import { instructions } from "../instructions.ts";
import type { Instruction, Program } from "../program.ts";
import { randomBits } from "../random.ts";
import type { Dense } from "./kernel.ts";

/** Runs a pointwise program one element at a time; f32 registers are rounded after every instruction. */
export function evaluateProgram(program: Program, leaves: readonly Dense[], size: number): Float64Array {
  const out = new Float64Array(size);
  const registers = new Float64Array(program.instructions.length);
  for (let element = 0; element < size; element++) {
    for (const [i, instruction] of program.instructions.entries()) registers[i] = evaluate(instruction, registers, leaves, element);
    out[element] = registers[program.outputs[0]!.register]!;
  }
  return out;
}

function evaluate(instruction: Instruction, registers: Float64Array, leaves: readonly Dense[], element: number): number {
  const { type } = instruction;
  const value = compute(instruction, registers, leaves, element);
  return type === "f32" ? Math.fround(value) : value;
}

function compute(instruction: Instruction, registers: Float64Array, leaves: readonly Dense[], element: number): number {
  switch (instruction.op) {
    case "leaf":
      return leaves[instruction.leaf]!.data[element]!;
    case "literal":
      return instruction.value;
    case "index":
      return element;
    case "random":
      return randomBits(leaves[instruction.leaf]!.data, instruction.ordinal, element);
    default: {
      const [a = 0, b = 0, c = 0] = instruction.args.map((register) => registers[register]!);
      return instructions[instruction.op].evaluate(a, b, c, instruction.type);
    }
  }
}
