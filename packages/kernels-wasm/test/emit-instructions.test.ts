import type { DType, Instruction, Program, RegisterType, ScalarName } from "@x/tensor";
import { describe, expect, it } from "vitest";
import { rows } from "../src/emit/lower.ts";
import { apply } from "./emit-oracle.ts";
import { run, ulps } from "./emit-run.ts";

const tiny = 2 ** -149;
const awkward: Record<"f32" | "i32" | "u32" | "bool", number[]> = {
  f32: [
    0,
    -0,
    tiny,
    -tiny,
    2 ** -126,
    1e-39,
    -1e-40,
    1e-30,
    1e-8,
    -1e-8,
    1e-4,
    -0.03,
    0.3,
    0.5,
    -0.5,
    0.54,
    0.56,
    0.7,
    0.9274,
    0.9276,
    1,
    -1,
    1.5,
    2,
    -2,
    2.5,
    3,
    -3,
    3.5,
    7,
    -13.25,
    17.33,
    50.5,
    -87.4,
    88.7,
    -88.8,
    89,
    -95,
    -103.5,
    104,
    1e3,
    -12345.678,
    1e5,
    -1e5,
    8388607.5,
    16777216,
    2147483648,
    -2147483648,
    4294967040,
    1e10,
    -1e10,
    1e20,
    3.3e38,
    3.4028234e38,
    -3.4028234e38,
    Infinity,
    -Infinity,
    NaN,
  ].map(Math.fround),
  i32: [0, 1, -1, 2, -2, 3, 7, -7, 31, 32, 33, 255, 256, -1000, 65536, 123456789, -123456789, 2147483647, -2147483648],
  u32: [0, 1, 2, 3, 7, 31, 32, 33, 255, 256, 65535, 123456789, 2147483647, 2147483648, 4294967294, 4294967295],
  bool: [0, 1],
};
type Lane = keyof typeof awkward;

/** Bounds in ulp against f64; what is not named is exact. */
const bounds: Partial<Record<ScalarName, number>> = {
  exp: 1,
  expm1: 2,
  log: 2,
  log1p: 2,
  sin: 2,
  cos: 2,
  tanh: 2.5,
  erf: 2,
  sigmoid: 3,
  pow: 1,
};
const binary: readonly ScalarName[] = [
  "add",
  "sub",
  "mul",
  "div",
  "mod",
  "min",
  "max",
  "pow",
  "eq",
  "ne",
  "lt",
  "le",
  "gt",
  "ge",
  "and",
  "or",
  "xor",
  "shl",
  "shr",
];
const arity = (name: ScalarName): number => (name === "select" ? 3 : binary.includes(name) ? 2 : 1);
const resultOf = (name: ScalarName, from: Lane): RegisterType =>
  ["eq", "ne", "lt", "le", "gt", "ge"].includes(name) ? "bool" : name === "bits" ? "u32" : from;

function check(name: ScalarName, from: Lane, to: RegisterType, columns: readonly (readonly number[])[], bound: number): void {
  const types: Lane[] = name === "select" ? ["bool", from, from] : columns.map(() => from);
  const loads = types.map((type, leaf): Instruction => ({ op: "leaf", leaf, type }));
  const program: Program = {
    leaves: types as DType[],
    instructions: [...loads, { op: name, args: types.map((_, i) => i), type: to }],
    outputs: [{ register: types.length, dtype: to }],
  };
  const [result] = run(
    program,
    [columns[0]!.length],
    columns.map((values) => ({ values, strides: [1] })),
  );
  for (const [i, got] of result!.entries()) {
    const args = columns.map((column) => column[i]!);
    const wanted = apply(name, args, from, to);
    if ((name === "sin" || name === "cos") && Math.abs(args[0]!) > 2 ** 28) {
      expect(!(Math.abs(got) > 1.0000001)).toBe(true); // a bounded result, of no accuracy
      continue;
    }
    const error = to === "f32" ? ulps(got, wanted) : Math.abs(got - wanted);
    if (!(error <= bound)) expect.fail(`${name}(${args}) of ${from}: got ${got}, expected ${wanted}, ${error} ulp`);
    if (to === "f32" && wanted === 0 && got === 0) expect([name, args, Object.is(got, -0)]).toEqual([name, args, Object.is(wanted, -0)]);
  }
}

function product(name: ScalarName, from: Lane): number[][] {
  const values = awkward[from];
  const n = arity(name);
  if (n === 1) return [[...values]];
  const pairs = values.flatMap((a) => values.map((b) => [a, b] as const));
  const columns = [pairs.map(([a]) => a), pairs.map(([, b]) => b)];
  return n === 2 ? columns : [pairs.map((_, i) => (i % 3 === 0 ? 1 : 0)), ...columns];
}

describe("every instruction on awkward values", () => {
  for (const [name, row] of Object.entries(rows) as [ScalarName, Partial<Record<Lane, unknown>>][]) {
    for (const from of Object.keys(row) as Lane[]) {
      it(`${name} of ${from}`, () => check(name, from, resultOf(name, from), product(name, from), bounds[name] ?? 0));
    }
  }
  for (const from of Object.keys(awkward) as Lane[]) {
    for (const to of Object.keys(awkward) as Lane[]) it(`cast ${from} to ${to}`, () => check("cast", from, to, [awkward[from]], 0));
  }
});

describe("transcendentals over their range", () => {
  const count = 20000;
  const spread = (low: number, high: number): number[] =>
    Array.from({ length: count }, (_, i) => Math.fround(low + ((high - low) * (i + 0.37)) / count));
  const exponents = (low: number, high: number, sign = 1): number[] => spread(low, high).map((e) => Math.fround(sign * 2 ** e));
  const cases: [ScalarName, number[]][] = [
    ["exp", spread(-104, 89)],
    ["exp", spread(-1, 1)],
    ["expm1", spread(-19, 89)],
    ["expm1", spread(-1, 1)],
    ["expm1", exponents(-149, 0, -1)],
    ["log", exponents(-149, 128)],
    ["log", spread(0.5, 2)],
    ["log1p", spread(-0.9999, 2)],
    ["log1p", exponents(-149, 128)],
    ["log1p", exponents(-149, 0, -1)],
    ["sin", spread(-10, 10)],
    ["sin", spread(-1e5, 1e5)],
    ["sin", spread(-(2 ** 28), 2 ** 28)],
    ["cos", spread(-10, 10)],
    ["cos", spread(-1e5, 1e5)],
    ["cos", spread(-(2 ** 28), 2 ** 28)],
    ["tanh", spread(-10, 10)],
    ["tanh", exponents(-149, 4)],
    ["erf", spread(-5, 5)],
    ["erf", exponents(-149, 3)],
    ["sigmoid", spread(-104, 20)],
  ];
  for (const [name, values] of cases) {
    it(`${name} from ${values[0]} to ${values.at(-1)}`, () => check(name, "f32", "f32", [values], bounds[name]!));
  }
  it("pow", () => check("pow", "f32", "f32", [exponents(-20, 20), spread(-7, 7).reverse()], bounds.pow!));
});
