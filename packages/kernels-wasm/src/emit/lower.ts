import type { RegisterType, ScalarName } from "@x/tensor";
import { erf } from "./erf.ts";
import { exp, expm1, sigmoid, tanh } from "./exp.ts";
import type { Graph, Value } from "./graph.ts";
import { divideSigned, divideUnsigned, moduloWith, shiftBy } from "./integer.ts";
import { log, log1p } from "./log.ts";
import type { SimdOp } from "./opcodes.ts";
import { pow } from "./pow.ts";
import { remainder } from "./remainder.ts";
import { cos, sin } from "./trig.ts";

/** How registers stand in vectors: f32, i32 and u32 as they are, bool as all ones or 0. There is no f64. */
export type LaneType = Exclude<RegisterType, "f64">;
type Rule = (g: Graph, ...args: [Value, Value, Value]) => Value;
/** The rule of each operand type that an instruction has a meaning for. */
type Row = Partial<Record<LaneType, Rule>>;

const simd =
  (op: SimdOp): Rule =>
  (g, a) =>
    g.op(op, a);
const simd2 =
  (op: SimdOp): Rule =>
  (g, a, b) =>
    g.op(op, a, b);
const float = (rule: Rule): Row => ({ f32: rule });
const floats = (op: SimdOp): Row => float(simd(op));
const numbers = (f32: Rule, i32: Rule, u32: Rule = i32): Row => ({ f32, i32, u32 });
const bitwise = (rule: Rule): Row => ({ i32: rule, u32: rule, bool: rule });
const everything = (rule: Rule): Row => ({ f32: rule, i32: rule, u32: rule, bool: rule });
const compare = (name: "lt" | "le" | "gt" | "ge"): Row => ({
  f32: simd2(`f32x4.${name}`),
  i32: simd2(`i32x4.${name}_s`),
  u32: simd2(`i32x4.${name}_u`),
  bool: simd2(`i32x4.${name}_u`),
});
const equality = (name: "eq" | "ne"): Row => ({ ...bitwise(simd2(`i32x4.${name}`)), f32: simd2(`f32x4.${name}`) });
const identity: Rule = (_, a) => a;

const signOf: Rule = (g, a) => {
  const one = g.f32(1);
  return g.select(g.op("f32x4.ne", a, a), a, g.select(g.op("f32x4.eq", a, g.f32(0)), a, g.copySign(one, a)));
};

/** The meaning of each row in SIMD instructions, by the type of its operands (for select, of the values). `cast` is by both types. */
export const rows: Readonly<Record<Exclude<ScalarName, "cast">, Row>> = {
  neg: numbers(simd("f32x4.neg"), simd("i32x4.neg")),
  abs: numbers(simd("f32x4.abs"), simd("i32x4.abs"), identity),
  sign: numbers(
    signOf,
    (g, a) => g.op("i32x4.max_s", g.op("i32x4.min_s", a, g.i32(1)), g.i32(-1)),
    (g, a) => g.op("i32x4.min_u", a, g.i32(1)),
  ),
  add: numbers(simd2("f32x4.add"), simd2("i32x4.add")),
  sub: numbers(simd2("f32x4.sub"), simd2("i32x4.sub")),
  mul: numbers(simd2("f32x4.mul"), simd2("i32x4.mul")),
  div: numbers(simd2("f32x4.div"), divideSigned, divideUnsigned),
  mod: numbers(remainder, moduloWith(divideSigned), moduloWith(divideUnsigned)),
  min: numbers(simd2("f32x4.min"), simd2("i32x4.min_s"), simd2("i32x4.min_u")),
  max: numbers(simd2("f32x4.max"), simd2("i32x4.max_s"), simd2("i32x4.max_u")),
  floor: floats("f32x4.floor"),
  ceil: floats("f32x4.ceil"),
  round: floats("f32x4.nearest"),
  sqrt: floats("f32x4.sqrt"),
  rsqrt: float((g, a) => g.div(g.f32(1), g.op("f32x4.sqrt", a))),
  exp: float(exp),
  expm1: float(expm1),
  log: float(log),
  log1p: float(log1p),
  sin: float(sin),
  cos: float(cos),
  tanh: float(tanh),
  erf: float(erf),
  sigmoid: float(sigmoid),
  pow: float(pow),
  eq: equality("eq"),
  ne: equality("ne"),
  lt: compare("lt"),
  le: compare("le"),
  gt: compare("gt"),
  ge: compare("ge"),
  and: bitwise(simd2("v128.and")),
  or: bitwise(simd2("v128.or")),
  xor: bitwise(simd2("v128.xor")),
  not: bitwise(simd("v128.not")),
  shl: { i32: shiftBy("i32x4.shl"), u32: shiftBy("i32x4.shl") },
  shr: { i32: shiftBy("i32x4.shr_s"), u32: shiftBy("i32x4.shr_u") },
  select: everything((g, mask, yes, no) => g.select(mask, yes, no)),
  bits: { f32: identity },
};

const toBool: Rule = (g, a) => g.op("i32x4.ne", a, g.i32(0));
const fromBool: Rule = (g, a) => g.op("v128.and", a, g.i32(1));

/** casts[from][to]; float to integer truncates and saturates, NaN gives 0; between integers the bits stay. */
export const casts: Readonly<Record<LaneType, Readonly<Record<LaneType, Rule>>>> = {
  f32: {
    f32: identity,
    i32: simd("i32x4.trunc_sat_f32x4_s"),
    u32: simd("i32x4.trunc_sat_f32x4_u"),
    bool: (g, a) => g.op("f32x4.ne", a, g.f32(0)),
  },
  i32: { f32: simd("f32x4.convert_i32x4_s"), i32: identity, u32: identity, bool: toBool },
  u32: { f32: simd("f32x4.convert_i32x4_u"), i32: identity, u32: identity, bool: toBool },
  bool: { f32: (g, a) => g.op("v128.and", a, g.f32(1)), i32: fromBool, u32: fromBool, bool: identity },
};

/** The operand that says which rule of a row applies. */
export const operandOf = (name: ScalarName, args: readonly number[]): number => args[name === "select" ? 1 : 0]!;

/** A literal as a constant vector. Integers wrap to 32 bits. */
export function literal(g: Graph, value: number, type: LaneType): Value {
  if (type === "f32") return g.f32(value);
  return g.i32(type === "bool" ? (value ? -1 : 0) : value);
}
