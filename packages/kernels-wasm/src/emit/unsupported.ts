import { dtypes, type Instruction, type Program } from "@x/tensor";
import { type LaneType, operandOf, rows } from "./lower.ts";

/** Why wasm does not serve `program`, naming the instruction; undefined if it does. */
export function unsupported(program: Program): string | undefined {
  const wide = [...program.leaves, ...program.outputs.map(({ dtype }) => dtype)].includes("f64");
  if (wide || program.instructions.some(({ type }) => type === "f64")) {
    return "f64 is not served on wasm; the reference device has it, f32 is the nearest here";
  }
  for (const [index, instruction] of program.instructions.entries()) {
    const problem = refusal(program, instruction);
    if (problem) return `instruction ${index}, ${instruction.op}: ${problem}`;
  }
  for (const [index, { register, dtype }] of program.outputs.entries()) {
    const made = program.instructions[register]?.type;
    const wanted = dtypes[dtype].register;
    if (made !== wanted) return `output ${index}: ${dtype} stores a register of ${wanted}, not ${made}; cast it`;
  }
  return undefined;
}

function refusal(program: Program, instruction: Instruction): string | undefined {
  switch (instruction.op) {
    case "leaf": {
      const dtype = program.leaves[instruction.leaf]!;
      const { register } = dtypes[dtype];
      return register === instruction.type ? undefined : `a leaf of ${dtype} is read as ${register}, not ${instruction.type}`;
    }
    case "random":
      return program.leaves[instruction.leaf] === "u32" ? undefined : "its key must be a leaf of u32";
    case "literal":
    case "index":
    case "cast":
      return undefined;
    default: {
      const from = program.instructions[operandOf(instruction.op, instruction.args)]!.type as LaneType;
      return rows[instruction.op][from] ? undefined : `no meaning for ${from}`;
    }
  }
}
