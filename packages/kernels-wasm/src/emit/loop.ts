import type { Program } from "@x/tensor";
import { type ArgumentLayout, layoutOf } from "./arguments.ts";
import type { WasmFunction } from "./assembler.ts";
import { type Row, tailBody, vectorBody } from "./bodies.ts";
import { Code } from "./code.ts";
import type { LeafAccess } from "./collapse.ts";
import { Graph } from "./graph.ts";
import { loadSplat, type StoredType, widths } from "./storage.ts";

const [begin, end, args] = [0, 1, 2];

interface Frame extends Row {
  readonly code: Code;
  readonly layout: ArgumentLayout;
  readonly rank: number;
  /** Coordinates; the last is the column that a row begins at. */
  readonly coordinates: readonly number[];
  /** Of each leaf, the address of its row. */
  readonly bases: readonly number[];
  /** Elements left in the row. */
  readonly left: number;
  readonly count: number;
  readonly draws: boolean;
}

function declare(program: Program, access: readonly LeafAccess[], rank: number, fused: boolean): Frame {
  const code = new Code(3);
  const i32 = (): number => code.local("i32");
  return {
    code,
    program,
    access,
    rank,
    fused,
    layout: layoutOf(program, rank),
    coordinates: Array.from({ length: rank }, i32),
    bases: access.map(i32),
    leaves: access.map(i32),
    strides: access.map((kind) => (kind === "strided" ? i32() : undefined)),
    held: access.map((kind) => Array.from({ length: kind === "key" ? 4 : kind === "broadcast" ? 1 : 0 }, () => code.local("v128"))),
    outputs: program.outputs.map(i32),
    position: i32(),
    left: i32(),
    count: i32(),
    tail: [i32(), i32(), i32()],
    draws: program.instructions.some(({ op }) => op === "random"),
  };
}

/** run(begin, end, args): elements [begin, end) in row-major order. `vectors` of four elements make one turn of the main loop. */
export function runFunction(program: Program, access: readonly LeafAccess[], rank: number, fused: boolean, vectors: number): WasmFunction {
  const frame = declare(program, access, rank, fused);
  const { code, position } = frame;
  code.nest("block", (done) => {
    code.get(begin).get(end).op("i32.ge_u").branchIf(done);
    enter(frame);
    code.nest("loop", (nextRow) => {
      startRow(frame);
      overRow(frame, frame.draws ? 4 : vectors);
      code.get(position).get(end).op("i32.ge_u").branchIf(done);
      if (rank === 1) return;
      carry(frame);
      code.branch(nextRow);
    });
  });
  return { parameters: ["i32", "i32", "i32"], results: [], locals: code.locals, body: code.finish() };
}

const moves = ({ access }: Frame, leaf: number): boolean => access[leaf] !== "key";

/** Coordinates and addresses of the first element: the only divisions. */
function enter(frame: Frame): void {
  const { code, layout, rank, coordinates, bases, program, held, access } = frame;
  code.get(begin).set(frame.position);
  code.get(begin).set(coordinates[0]!);
  for (let axis = rank - 1; axis > 0; axis--) {
    code.get(coordinates[0]!).word(args, layout.extent(axis)).op("i32.rem_u").set(coordinates[axis]!);
    code.get(coordinates[0]!).word(args, layout.extent(axis)).op("i32.div_u").set(coordinates[0]!);
  }
  for (const [leaf, base] of bases.entries()) {
    code.word(args, layout.leaf(leaf)).set(base);
    if (!moves(frame, leaf)) continue;
    for (let axis = 0; axis < rank - 1; axis++) {
      code.get(base).word(args, layout.stride(leaf, axis)).get(coordinates[axis]!).op("i32.mul").op("i32.add").set(base);
    }
    const stride = frame.strides[leaf];
    if (stride !== undefined) code.word(args, layout.stride(leaf, rank - 1)).set(stride);
  }
  for (const [output, local] of frame.outputs.entries()) {
    const width = widths[program.outputs[output]!.dtype as StoredType];
    code.word(args, layout.output(output)).get(begin).const(width).op("i32.mul").op("i32.add").set(local);
  }
  for (const [leaf, kind] of access.entries()) {
    if (kind === "key") for (const [word, local] of held[leaf]!.entries()) hold(frame, leaf, local, word * 4);
  }
}

/** Loads one element into all lanes of `local`. */
function hold({ code, bases, program }: Frame, leaf: number, local: number, offset: number): void {
  const g = new Graph();
  const value = loadSplat(g, program.leaves[leaf] as StoredType, g.local(bases[leaf]!, "i32"), offset);
  code.value(value).set(local);
}

/** Counts what is left of the row, and points at its next elements. */
function startRow(frame: Frame): void {
  const { code, layout, rank, coordinates, left, count } = frame;
  const column = coordinates[rank - 1]!;
  code
    .word(args, layout.extent(rank - 1))
    .get(column)
    .op("i32.sub")
    .tee(left);
  code.get(end).get(frame.position).op("i32.sub").tee(count);
  code.get(left).get(count).op("i32.lt_u").op("select").set(left);
  for (const [leaf, kind] of frame.access.entries()) {
    if (kind === "broadcast") hold(frame, leaf, frame.held[leaf]![0]!, 0);
    if (kind !== "contiguous" && kind !== "strided") continue;
    code.get(frame.bases[leaf]!).get(column);
    stepOf(frame, leaf);
    code.op("i32.mul").op("i32.add").set(frame.leaves[leaf]!);
  }
}

/** Leaves the distance of a leaf's neighbours in bytes on the stack. */
function stepOf({ code, strides, program }: Frame, leaf: number): void {
  const stride = strides[leaf];
  if (stride === undefined) code.const(widths[program.leaves[leaf] as StoredType]);
  else code.get(stride);
}

/** Turns of `vectors`, single vectors, then a tail. A program that draws first takes a tail up to a multiple of four. */
function overRow(frame: Frame, vectors: number): void {
  const { code, left, draws, position } = frame;
  code.nest("loop", (again) => {
    code.nest("block", (unaligned) => {
      if (draws) code.get(position).const(3).op("i32.and").branchIf(unaligned);
      for (const count of vectors > 1 ? [vectors, 1] : [1]) whileLeft(frame, count);
    });
    code.get(left);
    code.nest("if", () => {
      tailLanes(frame);
      code.graph(tailBody(frame));
      advance(frame, () => code.get(frame.count));
      if (draws) code.get(left).branchIf(again);
    });
  });
}

function whileLeft(frame: Frame, vectors: number): void {
  const { code, left } = frame;
  const enough = (): Code =>
    code
      .get(left)
      .const(vectors * 4)
      .op("i32.ge_u");
  enough().nest("if", () => {
    code.nest("loop", (again) => {
      code.graph(vectorBody(frame, vectors));
      advance(frame, () => code.const(vectors * 4));
      enough().branchIf(again);
    });
  });
}

/** count = elements of this tail; lane l stands for element min(l, count - 1). */
function tailLanes({ code, left, count, position, draws, tail }: Frame): void {
  code.get(left).set(count);
  if (draws) {
    code.const(4).get(position).const(3).op("i32.and").op("i32.sub").tee(count);
    code.get(left).get(count).get(left).op("i32.lt_u").op("select").set(count);
  }
  for (const [index, local] of tail.entries()) {
    const lane = index + 1;
    code.const(lane).get(count).const(1).op("i32.sub").const(lane).get(count).op("i32.lt_u").op("select").set(local);
  }
}

/** Moves on by the number of elements that `amount` leaves on the stack. */
function advance(frame: Frame, amount: () => void): void {
  const { code, program, access } = frame;
  for (const [leaf, kind] of access.entries()) {
    if (kind !== "contiguous" && kind !== "strided") continue;
    const pointer = frame.leaves[leaf]!;
    code.get(pointer);
    amount();
    stepOf(frame, leaf);
    code.op("i32.mul").op("i32.add").set(pointer);
  }
  for (const [output, pointer] of frame.outputs.entries()) {
    code.get(pointer);
    amount();
    code
      .const(widths[program.outputs[output]!.dtype as StoredType])
      .op("i32.mul")
      .op("i32.add")
      .set(pointer);
  }
  code.get(frame.position);
  amount();
  code.op("i32.add").set(frame.position).get(frame.left);
  amount();
  code.op("i32.sub").set(frame.left);
}

/** To the next row: counts up the outer coordinates, innermost first. */
function carry(frame: Frame): void {
  const { code, layout, rank, coordinates, bases } = frame;
  code.const(0).set(coordinates[rank - 1]!);
  code.nest("block", (carried) => {
    for (let axis = rank - 2; axis >= 0; axis--) {
      const coordinate = coordinates[axis]!;
      const leaves = [...bases.entries()].filter(([leaf]) => moves(frame, leaf));
      for (const [leaf, base] of leaves) code.get(base).word(args, layout.stride(leaf, axis)).op("i32.add").set(base);
      code.get(coordinate).const(1).op("i32.add").tee(coordinate);
      code.word(args, layout.extent(axis)).op("i32.lt_u").branchIf(carried);
      if (axis === 0) return;
      code.const(0).set(coordinate);
      for (const [leaf, base] of leaves) {
        code.get(base).word(args, layout.stride(leaf, axis)).word(args, layout.extent(axis)).op("i32.mul").op("i32.sub").set(base);
      }
    }
  });
}
