import fc from "fast-check";
import { expect, test } from "vitest";
import { Cell, compile, reference, type Step, setDefaultDevice, type Tensor } from "../src/index.ts";

const device = reference();
setDefaultDevice(device);

// The reference device reads everything before it writes, so it would not notice a product computed over its own factors: the plan itself is looked at.
const { build } = device.driver;
device.driver.build = (steps) => {
  for (const { name, bindings } of steps)
    if (/matmul|copy/.test(name))
      for (const [input, { storage }] of Object.entries(bindings))
        if (input !== "y" && storage === bindings.y!.storage) throw new Error(`${name}: y is written over ${input}.`);
  return build.call(device.driver, steps);
};

const n = 3;

/** An instruction on a list of matrices [n, n] and on cells; numbers pick from what there is, modulo its length. */
type Instruction =
  | { readonly op: "read" | "snapshot"; readonly cell: number }
  | { readonly op: "add" | "matmul"; readonly a: number; readonly b: number }
  | { readonly op: "tanh" | "transpose" | "flip" | "twice"; readonly a: number }
  | { readonly op: "set" | "setRow"; readonly cell: number; readonly a: number };

const pick = fc.nat(11);
const instruction: fc.Arbitrary<Instruction> = fc.oneof(
  fc.record({ op: fc.constantFrom("read" as const, "snapshot" as const), cell: pick }),
  fc.record({ op: fc.constantFrom("add" as const, "matmul" as const), a: pick, b: pick }),
  fc.record({ op: fc.constantFrom("tanh" as const, "transpose" as const, "flip" as const, "twice" as const), a: pick }),
  fc.record({ op: fc.constantFrom("set" as const, "set" as const, "setRow" as const), cell: pick, a: pick }),
);

interface Cells {
  readonly matrices: readonly Cell[];
  readonly row: Cell;
}
const makeCells = (): Cells => ({
  matrices: [0, 1].map((c) => new Cell({ shape: [n, n], data: Array.from({ length: n * n }, (_, i) => Math.sin(i + 10 * c)) })),
  row: new Cell({ shape: [n], data: [1, 2, 3] }),
});

/** Runs the instructions; returns the last value and one in the middle. */
function run(program: readonly Instruction[], { matrices, row }: Cells, x: Tensor): Tensor[] {
  const values: Tensor[] = [x, row.value.unsqueeze(0).add(x)];
  const at = (i: number) => values[i % values.length]!;
  const cell = (i: number) => matrices[i % matrices.length]!;
  for (const step of program) {
    if (step.op === "read") values.push(cell(step.cell).value.mul(0.5));
    else if (step.op === "snapshot") values.push(cell(step.cell).snapshot());
    else if (step.op === "add") values.push(at(step.a).add(at(step.b)).mul(0.5));
    else if (step.op === "matmul") values.push(at(step.a).mul(0.3).matmul(at(step.b)));
    else if (step.op === "tanh") values.push(at(step.a).tanh());
    else if (step.op === "transpose") values.push(at(step.a).transpose());
    else if (step.op === "flip") values.push(at(step.a).flip(0).copy());
    else if (step.op === "twice") values.push(at(step.a).matmul(at(step.a)).tanh());
    else if (step.op === "set") cell(step.cell).set(at(step.a));
    else if (step.op === "setRow") row.set(at(step.a).slice(0, 0, 1).reshape([n]));
  }
  return [values.at(-1)!, values[Math.floor(values.length / 2)]!.add(0)];
}

/** Everything a program leaves after three calls, as bits. */
async function outcome(program: readonly Instruction[], eager: boolean): Promise<number[][]> {
  const cells = makeCells();
  const body = ({ x }: { x: Tensor }) => run(program, cells, x);
  const step = compile(body as never, { eager }) as unknown as Step<{ x: object }, Record<string, never>, Tensor[]>;
  const seen: number[][] = [];
  for (let call = 0; call < 3; call++) {
    const data = Float32Array.from({ length: n * n }, (_, i) => Math.cos(i + call));
    for (const result of step({ x: { data, shape: [n, n] } })) seen.push([...(await result.data())]);
    for (const kept of [...cells.matrices, cells.row]) seen.push([...(await kept.data())]);
  }
  step.release();
  return seen;
}

test("random programs of reads, products and writes of cells leave the same bits compiled and eager", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(instruction, { minLength: 1, maxLength: 14 }), async (program) => {
      expect(await outcome(program, false)).toEqual(await outcome(program, true));
    }),
    { numRuns: 150 },
  );
});

test("a value that is written to a cell and read by what is written there next is not written over by it", async () => {
  const cell = new Cell({ shape: [2, 2] });
  const body = ({ x }: { x: Tensor }) => {
    const square = x.matmul(x);
    const fourth = square.matmul(square);
    cell.set(square);
    cell.set(fourth);
  };
  const step = compile(body as never) as unknown as (args: object) => void;
  step({ x: { data: Float32Array.of(1, 1, 0, 1), shape: [2, 2] } });
  expect(await cell.data()).toEqual(Float32Array.of(1, 4, 0, 1));
});

test("the start of a larger temporary is copied to a smaller cell, not computed there", async () => {
  const cell = new Cell({ shape: [2] });
  const beside = new Cell({ shape: [2], data: [7, 8] });
  const body = ({ x }: { x: Tensor }) =>
    cell.set(
      x
        .reshape([40, 1])
        .matmul(x.reshape([1, 40]))
        .reshape([1600])
        .slice(0, 0, 2),
    );
  const step = compile(body as never) as unknown as (args: object) => void;
  step({ x: { data: Float32Array.from({ length: 40 }, (_, i) => i + 1), shape: [40] } });
  expect(await cell.data()).toEqual(Float32Array.of(1, 2));
  expect(await beside.data()).toEqual(Float32Array.of(7, 8));
});
