import type { Instruction, Program, RegisterType } from "@x/tensor";
import type { Graph, Value } from "./graph.ts";
import { casts, type LaneType, literal, operandOf, rows } from "./lower.ts";

/** Where four elements come from and go to. */
export interface Lanes {
  leaf(leaf: number): Value;
  /** The position of each element, u32. */
  position(): Value;
  random(leaf: number, ordinal: number): Value;
  store(output: number, value: Value): void;
}

/** Adds the dataflow of `program` for four elements to `g`. */
export function evaluate(g: Graph, program: Program, lanes: Lanes): void {
  const registers: Value[] = [];
  for (const instruction of program.instructions) registers.push(value(g, program, registers, instruction, lanes));
  for (const [index, output] of program.outputs.entries()) lanes.store(index, registers[output.register]!);
}

const lane = (type: RegisterType): LaneType => type as LaneType; // f64 is refused beforehand

function value(g: Graph, program: Program, registers: readonly Value[], instruction: Instruction, lanes: Lanes): Value {
  switch (instruction.op) {
    case "leaf":
      return lanes.leaf(instruction.leaf);
    case "literal":
      return literal(g, instruction.value, lane(instruction.type));
    case "index":
      return lanes.position();
    case "random":
      return lanes.random(instruction.leaf, instruction.ordinal);
    default: {
      const from = lane(program.instructions[operandOf(instruction.op, instruction.args)]!.type);
      const rule = instruction.op === "cast" ? casts[from][lane(instruction.type)] : rows[instruction.op][from]!;
      const [a, b, c] = instruction.args.map((register) => registers[register]!);
      return rule(g, a!, b!, c!);
    }
  }
}
