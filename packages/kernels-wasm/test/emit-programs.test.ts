import { type DType, decode, dtypes, encode, type Instruction, type Program, type ScalarName } from "@x/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type LaneType, rows } from "../src/emit/lower.ts";
import { interpret } from "./emit-oracle.ts";
import { type LeafData, run, ulps } from "./emit-run.ts";

/** Chains of all others, which are exactly rounded, must agree to the bit. `bits` stays out: those of a NaN are free. */
const inexact = new Set<ScalarName>(["bits", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf", "sigmoid", "pow"]);
const comparisons = new Set<ScalarName>(["eq", "ne", "lt", "le", "gt", "ge"]);
const two = new Set<ScalarName>([...comparisons, "add", "sub", "mul", "div", "mod", "min", "max", "pow", "and", "or", "xor", "shl", "shr"]);
const exact = (Object.keys(rows) as ScalarName[]).filter((name) => !inexact.has(name));

const dtypeNames: DType[] = ["f32", "f16", "bf16", "i32", "u32", "u8", "bool"];
const valuesOf = (dtype: DType): fc.Arbitrary<number> => {
  switch (dtype) {
    case "f32":
      return fc.oneof(fc.float({ noNaN: true }), fc.float({ min: -8, max: 8, noNaN: true }), fc.constantFrom(0, -0, 1, Number.NaN));
    case "f16":
    case "bf16":
      return fc.oneof(fc.float({ min: -10, max: 10, noNaN: true }), fc.constantFrom(0, -0, Infinity, -Infinity, 65504, 6e-8, -5.9e-5));
    case "i32":
      return fc.oneof(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.integer({ min: -9, max: 9 }));
    case "u32":
      return fc.oneof(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.integer({ min: 0, max: 9 }));
    case "u8":
      return fc.integer({ min: 0, max: 255 });
    default:
      return fc.integer({ min: 0, max: 1 });
  }
};

/** A program that grows by picking rows and operands with `picks`: any list of numbers gives a valid one. */
function grow(leaves: readonly DType[], picks: readonly number[]): Program {
  const instructions: Instruction[] = leaves.map((dtype, leaf) => ({ op: "leaf", leaf, type: dtypes[dtype].register }));
  instructions.push({ op: "literal", value: 1.5, type: "f32" }, { op: "index", type: "u32" });
  for (const pick of picks) {
    const a = pick % instructions.length;
    const type = instructions[a]!.type as LaneType;
    const mates = [...instructions.keys()].filter((index) => instructions[index]!.type === type);
    const masks = [...instructions.keys()].filter((index) => instructions[index]!.type === "bool");
    const candidates: (ScalarName | "cast")[] = [
      "cast",
      ...exact.filter((name) => rows[name as "add"][type] && (name !== "select" || masks.length > 0)),
    ];
    const op = candidates[(pick >>> 8) % candidates.length]!;
    const b = mates[(pick >>> 16) % mates.length]!;
    const mask = masks[(pick >>> 20) % Math.max(masks.length, 1)]!;
    const made = op === "cast" ? (["f32", "i32", "u32", "bool"] as const)[(pick >>> 14) % 4]! : comparisons.has(op) ? "bool" : type;
    instructions.push({ op, args: op === "select" ? [mask, a, b] : two.has(op) ? [a, b] : [a], type: made } as Instruction);
  }
  const outputs = [instructions.length - 1, instructions.length >> 1].map((register) => {
    const stores = dtypeNames.filter((dtype) => dtypes[dtype].register === instructions[register]!.type);
    return { register, dtype: stores[(picks[0] ?? 0) % stores.length]! };
  });
  return { leaves, instructions, outputs };
}

interface Leaf extends LeafData {
  readonly strides: readonly number[];
}
/** A leaf of `shape` by kind: 0 contiguous, 1 broadcast on some axes, 2 transposed, 3 every second element. */
function layOut(shape: readonly number[], kind: number, pool: readonly number[]): Leaf {
  const order = [...shape.keys()];
  if (kind === 2) order.reverse();
  const strides = shape.map(() => 0);
  let size = kind === 3 ? 2 : 1;
  for (const axis of order.reverse()) {
    if (kind === 1 && (pool.length >> (axis % 3)) % 2 === 1) continue;
    strides[axis] = size;
    size *= shape[axis]!;
  }
  return { values: Array.from({ length: size }, (_, i) => pool[i % pool.length]!), strides };
}

function compare(
  program: Program,
  shape: readonly number[],
  leaves: readonly Leaf[],
  results: readonly ArrayLike<number>[],
  bound: number,
): void {
  const round = (value: number, dtype: DType): number => decode(encode([value], dtype), dtype)[0]!;
  const size = shape.reduce((a, b) => a * b, 1);
  for (let index = 0; index < size; index++) {
    let rest = index;
    const coordinates = shape.map(() => 0);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      coordinates[axis] = rest % shape[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    const read = (leaf: number): number => {
      const { values, strides } = leaves[leaf]!;
      const value = values[coordinates.reduce((sum, at, axis) => sum + at * strides[axis]!, 0)]!;
      const dtype = program.leaves[leaf]!;
      return dtype === "f16" || dtype === "bf16" ? round(value, dtype) : value;
    };
    for (const [output, value] of interpret(program, read, index).entries()) {
      const { dtype } = program.outputs[output]!;
      const wanted = dtype === "f16" || dtype === "bf16" ? round(value, dtype) : value;
      const got = results[output]![index]!;
      const equal = dtypes[dtype].kind === "float" ? ulps(got, wanted) <= bound : got === wanted;
      if (!equal) expect.fail(`element ${index} of output ${output}: got ${got}, expected ${wanted}\n${JSON.stringify(program)}`);
    }
  }
}

const scenario = fc
  .record({
    leaves: fc.array(fc.constantFrom(...dtypeNames), { minLength: 1, maxLength: 6 }),
    shape: fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 4 }),
  })
  .chain(({ leaves, shape }) =>
    fc.record({
      leaves: fc.constant(leaves),
      shape: fc.constant(shape.reduce((a, b) => a * b, 1) > 400 ? shape.slice(0, 2) : shape),
      picks: fc.array(fc.integer({ min: 0, max: 2 ** 30 }), { minLength: 1, maxLength: 26 }),
      kinds: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 6, maxLength: 6 }),
      pools: fc.tuple(...leaves.map((dtype) => fc.array(valuesOf(dtype), { minLength: 3, maxLength: 11 }))),
      cut: fc.nat({ max: 400 }),
      shared: fc.boolean(),
    }),
  );

describe("random programs", () => {
  it("of exactly rounded instructions equal the interpreter to the bit, wherever they are cut", () => {
    fc.assert(
      fc.property(scenario, ({ leaves, shape, picks, kinds, pools, cut, shared }) => {
        const program = grow(leaves, picks);
        const data = leaves.map((_, leaf) => layOut(shape, kinds[leaf]!, pools[leaf]!));
        const whole = run(program, shape, data, { shared });
        const size = shape.reduce((a, b) => a * b, 1);
        const parts = run(program, shape, data, { shared, cuts: [cut % (size + 1)] });
        expect(parts).toEqual(whole);
        compare(program, shape, data, whole, 0);
      }),
      { numRuns: 150 },
    );
  });
});

const gelu: Program = {
  leaves: ["f32"],
  instructions: [
    { op: "leaf", leaf: 0, type: "f32" },
    { op: "literal", value: Math.SQRT1_2, type: "f32" },
    { op: "mul", args: [0, 1], type: "f32" },
    { op: "erf", args: [2], type: "f32" },
    { op: "literal", value: 1, type: "f32" },
    { op: "add", args: [3, 4], type: "f32" },
    { op: "mul", args: [0, 5], type: "f32" },
    { op: "literal", value: 0.5, type: "f32" },
    { op: "mul", args: [6, 7], type: "f32" },
  ],
  outputs: [{ register: 8, dtype: "f32" }],
};

describe("loops", () => {
  const values = Array.from({ length: 53 }, (_, i) => Math.fround(Math.sin(i) * 4));
  it("give the same bits for every cut, shared or not, in place or not", () => {
    const [whole] = run(gelu, [53], [{ values, strides: [1] }]);
    for (let cut = 0; cut <= 53; cut++) expect(run(gelu, [53], [{ values, strides: [1] }], { cuts: [cut] })[0]).toEqual(whole);
    for (const options of [{ shared: true }, { inPlace: true }, { cuts: [3, 4, 5, 21, 22] }]) {
      expect(run(gelu, [53], [{ values, strides: [1] }], options)[0]).toEqual(whole);
    }
  });
  it("run one element at a time as a strided, a broadcast and a contiguous leaf alike", () => {
    const [whole] = run(gelu, [53], [{ values, strides: [1] }]);
    const spaced = values.flatMap((value) => [value, Number.NaN]);
    expect(run(gelu, [53], [{ values: spaced, strides: [2] }])[0]).toEqual(whole);
    expect(run(gelu, [1], [{ values: [values[9]!], strides: [0] }])[0]![0]).toBe(whole![9]);
    expect(run(gelu, [3, 5], [{ values: values.slice(0, 3), strides: [1, 0] }])[0]![7]).toBe(whole![1]);
  });
  it("carry through six dimensions that cannot be merged", () => {
    const shape = [2, 3, 2, 3, 2, 3];
    const pool = Array.from({ length: 216 }, (_, i) => i);
    const leaf = layOut(shape, 2, pool);
    const program: Program = {
      leaves: ["i32"],
      instructions: [{ op: "leaf", leaf: 0, type: "i32" }],
      outputs: [{ register: 0, dtype: "i32" }],
    };
    for (const cuts of [[], [1], [77, 78, 200]]) compare(program, shape, [leaf], run(program, shape, [leaf], { cuts }), 0);
  });
  it("do nothing on an empty shape", () => expect(run(gelu, [3, 0], [{ values: [], strides: [0, 1] }])[0]).toHaveLength(0));
});
