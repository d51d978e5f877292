import type { ScalarName } from "@x/tensor";

/** The register types of a program here: bools are vec4<bool>. */
export type Lane = "f32" | "i32" | "u32" | "bool";

const zero = (type: Lane) => `vec4<${type}>(0)`;
const call =
  (name: string): Emit =>
  (a) =>
    `${name}(${a})`;
const infix =
  (symbol: string): Emit =>
  (a, b) =>
    `(${a} ${symbol} ${b})`;
const extremum =
  (name: "min" | "max"): Emit =>
  (a, b, _, type) =>
    type === "f32" ? `nan_of(${name}(${a}, ${b}), ${a}, ${b})` : `${name}(${a}, ${b})`;

/** The expression of one instruction on four lanes; `type` is that of its operands. */
type Emit = (a: string, b: string, c: string, type: Lane) => string;

const comparison =
  (symbol: string): Emit =>
  (a, b, _, type) =>
    type === "bool"
      ? `(select(vec4<u32>(0), vec4<u32>(1), ${a}) ${symbol} select(vec4<u32>(0), vec4<u32>(1), ${b}))`
      : `(${a} ${symbol} ${b})`;

/** Every row of the instruction table but `cast`, which has a file's worth of cases of its own below. */
export const emitters: Readonly<Record<Exclude<ScalarName, "cast">, Emit>> = {
  neg: (a, _b, _c, type) => (type === "u32" ? `(~${a} + vec4<u32>(1))` : `(-${a})`),
  abs: call("abs"),
  sign: (a, _b, _c, type) => (type === "u32" ? `min(${a}, vec4<u32>(1))` : `sign(${a})`),
  add: infix("+"),
  sub: infix("-"),
  mul: infix("*"),
  div: (a, b, _, type) => (type === "f32" ? `(${a} / ${b})` : `select(${a} / ${b}, ${zero(type)}, ${b} == ${zero(type)})`),
  mod: (a, b, _, type) => (type === "f32" ? `m_mod(${a}, ${b})` : `select(${a} % ${b}, ${zero(type)}, ${b} == ${zero(type)})`),
  min: extremum("min"),
  max: extremum("max"),
  floor: call("floor"),
  ceil: call("ceil"),
  round: call("round"),
  sqrt: (a) => `select(sqrt(${a}), nan(), ${a} < V(0.0))`,
  rsqrt: (a) => `select(select(1.0 / sqrt(${a}), nan(), ${a} < V(0.0)), infinity(), ${a} == V(0.0))`,
  exp: call("m_exp"),
  expm1: call("m_expm1"),
  log: call("m_log"),
  log1p: call("m_log1p"),
  sin: call("m_sin"),
  cos: call("m_cos"),
  tanh: call("m_tanh"),
  erf: call("m_erf"),
  sigmoid: call("m_sigmoid"),
  pow: (a, b) => `m_pow(${a}, ${b})`,
  eq: comparison("=="),
  // As the opposite of being equal: a driver that takes NaN for impossible makes != false of it.
  ne: (a, b, c, type) => `(!${comparison("==")(a, b, c, type)})`,
  lt: comparison("<"),
  le: comparison("<="),
  gt: comparison(">"),
  ge: comparison(">="),
  and: infix("&"),
  or: infix("|"),
  xor: (a, b, _, type) => (type === "bool" ? `(${a} != ${b})` : `(${a} ^ ${b})`),
  not: (a, _b, _c, type) => (type === "bool" ? `(!${a})` : `(~${a})`),
  shl: (a, b) => `(${a} << (vec4<u32>(${b}) & vec4<u32>(31)))`,
  shr: (a, b) => `(${a} >> (vec4<u32>(${b}) & vec4<u32>(31)))`,
  select: (a, b, c) => `select(${c}, ${b}, ${a})`,
  bits: (a) => `bitcast<vec4<u32>>(${a})`,
};

/** The functions of math.ts that an expression mentions. */
export const mentioned = (code: string): string[] => code.match(/\b(m_\w+|nan_of|is_nan|nan|infinity|philox)\b/g) ?? [];

/** A conversion: floats are truncated and saturate, NaN becomes 0; to bool is != 0. */
export function castTo(to: Lane, from: Lane, a: string): string {
  if (to === from) return a;
  if (from === "bool") return `select(vec4<${to}>(0), vec4<${to}>(1), ${a})`;
  if (to === "bool") {
    // By bits, since a subnormal may be flushed before it is compared.
    return from === "f32" ? `((bitcast<vec4<u32>>(${a}) << vec4<u32>(1)) != vec4<u32>(0))` : `(${a} != ${zero(from)})`;
  }
  if (to === "f32") return `vec4<f32>(${a})`;
  if (from === "u32") return `vec4<i32>(min(${a}, vec4<u32>(2147483647)))`;
  if (from === "i32") return `vec4<u32>(max(${a}, vec4<i32>(0)))`;
  const whole = `trunc(clamp(${a}, ${to === "i32" ? "V(-2147483648.0), V(2147483520.0)" : "V(0.0), V(4294967040.0)"}))`;
  const top = to === "i32" ? "V(2147483648.0)" : "V(4294967296.0)";
  const most = to === "i32" ? "vec4<i32>(2147483647)" : "vec4<u32>(4294967295u)";
  return `select(select(vec4<${to}>(${whole}), ${most}, ${a} >= ${top}), ${zero(to)}, is_nan(${a}))`;
}
