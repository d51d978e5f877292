import { dtypes, type Instruction, type Program, type RegisterType, randomBits } from "@x/tensor";

/** What an instruction gives in plain JavaScript: f32 as a number, integers as i32 or u32 values, bool as 0 or 1. */
type Meaning = (a: number, b: number, c: number) => number;

function erf(x: number): number {
  const t = Math.abs(x);
  if (t === 0) return x;
  if (t > 6) return Math.sign(x);
  if (t < 2.5) {
    let [term, sum] = [x, x];
    for (let n = 1; n < 80; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 120; n > 0; n--) fraction = n / 2 / (t + fraction);
  return Math.sign(x) * (1 - Math.exp(-t * t) / Math.sqrt(Math.PI) / (t + fraction));
}

function pow(x: number, y: number): number {
  if (x === 1 || y === 0) return 1;
  return Math.abs(x) === 1 && Math.abs(y) === Number.POSITIVE_INFINITY ? 1 : x ** y;
}

function halfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  const rounded = rest < 0.5 ? floor : rest > 0.5 ? floor + 1 : floor % 2 === 0 ? floor : floor + 1;
  return rounded === 0 ? (x < 0 || Object.is(x, -0) ? -0 : 0) : rounded;
}

/** As 1 / (1 + e^-x) is in f32, where e^-x becomes infinite: 0 below 2^-127.5. */
function sigmoid(x: number): number {
  if (x < -127.5 * Math.LN2) return 0;
  return x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x));
}

/** In f64; what is exactly rounded there is so in f32 too. */
export const meanings: Record<string, Meaning> = {
  neg: (a) => -a,
  abs: Math.abs,
  sign: Math.sign,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  mod: (a, b) => a % b,
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
  floor: Math.floor,
  ceil: Math.ceil,
  round: halfEven,
  sqrt: Math.sqrt,
  rsqrt: (a) => 1 / Math.fround(Math.sqrt(a)),
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  erf,
  sigmoid,
  pow,
  eq: (a, b) => Number(a === b),
  ne: (a, b) => Number(a !== b),
  lt: (a, b) => Number(a < b),
  le: (a, b) => Number(a <= b),
  gt: (a, b) => Number(a > b),
  ge: (a, b) => Number(a >= b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  not: (a) => ~a,
  shl: (a, b) => a << b,
  shr: (a, b) => a >> b,
  select: (a, b, c) => (a ? b : c),
};

const word = new DataView(new ArrayBuffer(4));

function wrap(value: number, type: RegisterType): number {
  if (type === "f32") return Math.fround(value);
  if (type === "bool") return value & 1;
  return type === "i32" ? value | 0 : value >>> 0;
}

function cast(value: number, from: RegisterType, to: RegisterType): number {
  if (to === "bool") return Number(value !== 0);
  if (from !== "f32" || to === "f32") return wrap(value, to);
  const [low, high] = to === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  return Number.isNaN(value) ? 0 : Math.min(Math.max(Math.trunc(value), low), high) + 0;
}

/** What `name` gives on values of `from`, rounded to `type`. */
export function apply(name: string, args: readonly number[], from: RegisterType, type: RegisterType): number {
  const [a, b, c] = args as [number, number, number];
  if (name === "cast") return cast(a, from, type);
  if (name === "bits") {
    word.setFloat32(0, a);
    return from === "f32" ? word.getUint32(0) : a >>> 0;
  }
  if (name === "mul" && from !== "f32") return wrap(Math.imul(a, b), type);
  if (name === "shr" && from === "u32") return a >>> b;
  return wrap(meanings[name]!(a, b, c), type);
}

/** The outputs of `program` at element `index`, as register values; `leaf` gives the loaded values. */
export function interpret(program: Program, leaf: (leaf: number) => number, index: number, key: ArrayLike<number> = []): number[] {
  const registers: number[] = [];
  const run = (instruction: Instruction): number => {
    switch (instruction.op) {
      case "leaf":
        return leaf(instruction.leaf);
      case "literal":
        return wrap(instruction.value, instruction.type);
      case "index":
        return index;
      case "random":
        return randomBits(key, instruction.ordinal, index);
      default: {
        const values = instruction.args.map((register) => registers[register]!);
        const source = instruction.args[instruction.op === "select" ? 1 : 0]!;
        return apply(instruction.op, values, program.instructions[source]!.type, instruction.type);
      }
    }
  };
  for (const instruction of program.instructions) registers.push(run(instruction));
  return program.outputs.map(({ register, dtype }) => {
    const value = registers[register]!;
    return dtypes[dtype].bytes === 1 && dtype === "u8" ? value & 255 : value;
  });
}
