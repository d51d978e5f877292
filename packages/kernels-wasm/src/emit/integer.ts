import type { Graph, Value } from "./graph.ts";
import { join, upper } from "./wide.ts";

/** a / b truncated, as u32; 0 where b is 0. Exact: the f64 quotient of 32-bit integers never rounds up to an integer. */
export function divideUnsigned(g: Graph, a: Value, b: Value): Value {
  const half = (x: Value, y: Value): Value => {
    const quotient = g.op("f64x2.div", g.op("f64x2.convert_low_i32x4_u", x), g.op("f64x2.convert_low_i32x4_u", y));
    return g.op("i32x4.trunc_sat_f64x2_u_zero", quotient);
  };
  const quotient = join(g, half(a, b), half(upper(g, a), upper(g, b)));
  return g.op("v128.and", quotient, g.op("i32x4.ne", b, g.i32(0)));
}

/** a / b truncated, as i32; 0 where b is 0; -2^31 / -1 wraps to -2^31. */
export function divideSigned(g: Graph, a: Value, b: Value): Value {
  const quotient = divideUnsigned(g, g.op("i32x4.abs", a), g.op("i32x4.abs", b));
  const sign = g.shift("i32x4.shr_s", g.op("v128.xor", a, b), 31);
  return g.op("i32x4.sub", g.op("v128.xor", quotient, sign), sign);
}

/** a - (a / b) b with the sign of a; 0 where b is 0. */
export function moduloWith(divide: (g: Graph, a: Value, b: Value) => Value): (g: Graph, a: Value, b: Value) => Value {
  return (g, a, b) => {
    const rest = g.op("i32x4.sub", a, g.op("i32x4.mul", divide(g, a, b), b));
    return g.op("v128.and", rest, g.op("i32x4.ne", b, g.i32(0)));
  };
}

type Shift = "i32x4.shl" | "i32x4.shr_s" | "i32x4.shr_u";

/** A shift by the low five bits of each lane of `count`: one instruction if all lanes have the same, known count, else bit by bit. */
export function shiftBy(op: Shift): (g: Graph, value: Value, count: Value) => Value {
  return (g, value, count) => {
    if (count.word !== undefined) return g.shift(op, value, count.word & 31);
    return [1, 2, 4, 8, 16].reduce((shifted, bit) => {
      const isSet = g.op("i32x4.ne", g.op("v128.and", count, g.i32(bit)), g.i32(0));
      return g.select(isSet, g.shift(op, shifted, bit), shifted);
    }, value);
  };
}
