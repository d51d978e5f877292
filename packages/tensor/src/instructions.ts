import type { RegisterType } from "./dtype.ts";
import type { ScalarName } from "./program.ts";
import type { Tensor } from "./tensor.ts";

/** What arguments a scalar instruction takes. */
export type Operands = "number" | "float" | "any" | "bits";

/** One row of the instruction table: what it computes, and its derivative. */
export interface ScalarRule {
  readonly arity: 1 | 2 | 3;
  readonly operands: Operands;
  /** Result dtype: that of the last argument, or bool. `cast` and `bits` name theirs. */
  readonly result: "same" | "bool" | "given";
  evaluate(a: number, b: number, c: number, type: RegisterType): number;
  /** What the derivative reads. */
  readonly saves: "nothing" | "inputs" | "output";
  /** The gradient of each argument from that of the result; absent where the derivative is zero or there is none. */
  readonly grads: readonly (ScalarGrad | undefined)[];
}

export type ScalarGrad = (upstream: Tensor, inputs: readonly Tensor[], output: Tensor) => Tensor;
type Evaluate = ScalarRule["evaluate"];
const unary = (evaluate: Evaluate, saves: ScalarRule["saves"], grad?: ScalarGrad, operands: Operands = "float"): ScalarRule => ({
  arity: 1,
  operands,
  result: "same",
  evaluate,
  saves,
  grads: [grad],
});
const binary = (
  evaluate: Evaluate,
  saves: ScalarRule["saves"],
  grads: readonly ScalarGrad[],
  operands: Operands = "number",
): ScalarRule => ({
  arity: 2,
  operands,
  result: "same",
  evaluate,
  saves,
  grads,
});
const compare = (test: (a: number, b: number) => boolean): ScalarRule => ({
  arity: 2,
  operands: "any",
  result: "bool",
  evaluate: (a, b) => (test(a, b) ? 1 : 0),
  saves: "nothing",
  grads: [],
});
const bitwise = (evaluate: Evaluate, arity: 1 | 2 = 2): ScalarRule => ({
  arity,
  operands: "bits",
  result: "same",
  evaluate,
  saves: "nothing",
  grads: [],
});

const word = new DataView(new ArrayBuffer(4));
const bitsOf = (value: number): number => {
  word.setFloat32(0, value);
  return word.getUint32(0);
};

/** Integer results wrap to 32 bits; f32 results are rounded by who evaluates. */
function wrap(value: number, type: RegisterType): number {
  return type === "i32" ? value | 0 : type === "u32" ? value >>> 0 : value;
}
const integer = (type: RegisterType): boolean => type === "i32" || type === "u32";

function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest < 0.5 || (rest === 0.5 && floor % 2 === 0)) return floor === 0 && x < 0 ? -0 : floor;
  return floor + 1 === 0 && x < 0 ? -0 : floor + 1;
}

function convert(value: number, type: RegisterType): number {
  if (type === "bool") return value !== 0 ? 1 : 0;
  if (!integer(type)) return value;
  const [low, high] = type === "i32" ? [-2147483648, 2147483647] : [0, 4294967295];
  return Number.isNaN(value) ? 0 : Math.min(high, Math.max(low, Math.trunc(value)));
}

const divide = (a: number, b: number, type: RegisterType): number =>
  integer(type) ? (b === 0 ? 0 : wrap(Math.trunc(a / b), type)) : a / b;
/** Abramowitz and Stegun are not enough in f64: the series near 0 and the continued fraction away from it, to about 1e-16. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 200; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  let fraction = 0;
  for (let n = 80; n >= 1; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)));
}

/** The scalar instructions, each with its derivative. Total over `ScalarName`: a missing row does not compile. */
export const instructions: Readonly<Record<ScalarName, ScalarRule>> = {
  neg: unary(
    (a, _b, _c, t) => wrap(-a, t),
    "nothing",
    (g) => g.neg(),
    "number",
  ),
  abs: unary(
    (a, _b, _c, t) => wrap(Math.abs(a), t),
    "inputs",
    (g, [x]) => g.mul(x!.sign()),
    "number",
  ),
  sign: unary((a) => Math.sign(a), "nothing", undefined, "number"),
  add: binary((a, b, _c, t) => wrap(a + b, t), "nothing", [(g) => g, (g) => g]),
  sub: binary((a, b, _c, t) => wrap(a - b, t), "nothing", [(g) => g, (g) => g.neg()]),
  mul: binary((a, b, _c, t) => (integer(t) ? wrap(Math.imul(a, b), t) : a * b), "inputs", [(g, [, y]) => g.mul(y!), (g, [x]) => g.mul(x!)]),
  div: binary((a, b, _c, t) => divide(a, b, t), "inputs", [(g, [, y]) => g.div(y!), (g, [x, y]) => g.mul(x!).div(y!.mul(y!)).neg()]),
  mod: binary((a, b, _c, t) => (integer(t) && b === 0 ? 0 : wrap(a % b, t)), "inputs", [
    (g) => g,
    (g, [x, y]) => g.mul(x!.div(y!).trunc()).neg(),
  ]),
  min: binary((a, b) => Math.min(a, b), "inputs", [
    (g, [x, y]) => winnersShare(g, x!.lt(y!), x!.gt(y!)),
    (g, [x, y]) => winnersShare(g, y!.lt(x!), y!.gt(x!)),
  ]),
  max: binary((a, b) => Math.max(a, b), "inputs", [
    (g, [x, y]) => winnersShare(g, x!.gt(y!), x!.lt(y!)),
    (g, [x, y]) => winnersShare(g, y!.gt(x!), y!.lt(x!)),
  ]),
  floor: unary(Math.floor, "nothing"),
  ceil: unary(Math.ceil, "nothing"),
  round: unary(roundHalfEven, "nothing"),
  sqrt: unary(Math.sqrt, "output", (g, _, y) => g.div(y.mul(2))),
  rsqrt: unary(
    (a) => 1 / Math.sqrt(a),
    "output",
    (g, _, y) => g.mul(y.mul(y).mul(y)).mul(-0.5),
  ),
  exp: unary(Math.exp, "output", (g, _, y) => g.mul(y)),
  expm1: unary(Math.expm1, "output", (g, _, y) => g.mul(y.add(1))),
  log: unary(Math.log, "inputs", (g, [x]) => g.div(x!)),
  log1p: unary(Math.log1p, "inputs", (g, [x]) => g.div(x!.add(1))),
  sin: unary(Math.sin, "inputs", (g, [x]) => g.mul(x!.cos())),
  cos: unary(Math.cos, "inputs", (g, [x]) => g.mul(x!.sin()).neg()),
  tanh: unary(Math.tanh, "output", (g, _, y) => g.mul(y.mul(y).neg().add(1))),
  erf: unary(erf, "inputs", (g, [x]) =>
    g.mul(
      x!
        .mul(x!)
        .neg()
        .exp()
        .mul(2 / Math.sqrt(Math.PI)),
    ),
  ),
  sigmoid: unary(
    (a) => 1 / (1 + Math.exp(-a)),
    "output",
    (g, _, y) => g.mul(y.mul(y.neg().add(1))),
  ),
  pow: binary(
    (a, b) => a ** b,
    "inputs",
    [
      (g, [x, y]) => g.mul(y!.mul(x!.pow(y!.sub(1)))),
      // Where x is not positive the logarithm is replaced by zero, as 0 ** y has slope 0 in y.
      (g, [x, y]) => g.mul(x!.pow(y!)).mul(x!.gt(0).where(x!, x!.onesLike()).log()),
    ],
    "float",
  ),
  eq: compare((a, b) => a === b),
  ne: compare((a, b) => a !== b),
  lt: compare((a, b) => a < b),
  le: compare((a, b) => a <= b),
  gt: compare((a, b) => a > b),
  ge: compare((a, b) => a >= b),
  and: bitwise((a, b, _c, t) => wrap(a & b, t)),
  or: bitwise((a, b, _c, t) => wrap(a | b, t)),
  xor: bitwise((a, b, _c, t) => wrap(a ^ b, t)),
  not: bitwise((a, _b, _c, t) => (t === "bool" ? 1 - a : wrap(~a, t)), 1),
  shl: bitwise((a, b, _c, t) => wrap(a << b, t)),
  shr: bitwise((a, b, _c, t) => (t === "u32" ? a >>> b : a >> b)),
  select: {
    arity: 3,
    operands: "any",
    result: "same",
    evaluate: (a, b, c) => (a ? b : c),
    saves: "inputs",
    grads: [undefined, (g, [test]) => test!.where(g, g.zerosLike()), (g, [test]) => test!.where(g.zerosLike(), g)],
  },
  cast: {
    arity: 1,
    operands: "any",
    result: "given",
    evaluate: (a, _b, _c, t) => convert(a, t),
    saves: "inputs",
    grads: [(g, [x]) => g.cast(x!.dtype)],
  },
  bits: { arity: 1, operands: "float", result: "given", evaluate: bitsOf, saves: "nothing", grads: [] },
};

/** The gradient of an extremum goes to whoever won; equals share it. */
function winnersShare(g: Tensor, won: Tensor, lost: Tensor): Tensor {
  return won.where(g, lost.where(g.zerosLike(), g.mul(0.5)));
}
