import { ln2High, ln2Low } from "./exp.ts";
import type { Graph, Value } from "./graph.ts";

/** (ln(1 + f) - f + f^2 / 2) / f^3, minimax between sqrt(1/2) - 1 and sqrt(2) - 1. */
const terms = [
  0.3333333134651184, -0.250008225440979, 0.20001234114170074, -0.16623298823833466, 0.14201553165912628, -0.1316058188676834,
  0.12763327360153198, -0.07635654509067535,
];
const sqrtHalf = 0x3f3504f3;

/** x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), for x positive and normal. */
function split(g: Graph, x: Value): { k: Value; f: Value } {
  const k = g.shift("i32x4.shr_s", g.op("i32x4.sub", x, g.i32(sqrtHalf)), 23);
  return { k, f: g.sub(g.op("i32x4.sub", x, g.shift("i32x4.shl", k, 23)), g.f32(1)) };
}

/** k ln 2 + ln(1 + f), smallest parts first. */
function combine(g: Graph, k: Value, f: Value): Value {
  const square = g.mul(f, f);
  const cubic = g.mul(g.mul(square, f), g.polynomial(f, terms));
  const low = g.sub(g.add(cubic, g.mul(k, g.f32(ln2Low))), g.mul(square, g.f32(0.5)));
  return g.add(g.add(f, low), g.mul(k, g.f32(ln2High)));
}

/** `result` where x > zero; infinity, -infinity and NaN where x is infinite, zero, and below or NaN. */
function withLimits(g: Graph, x: Value, zero: Value, result: Value): Value {
  const finite = g.select(g.op("f32x4.eq", x, g.f32(Number.POSITIVE_INFINITY)), x, result);
  const positive = g.select(g.op("f32x4.gt", x, zero), finite, g.f32(Number.NaN));
  return g.select(g.op("f32x4.eq", x, zero), g.f32(Number.NEGATIVE_INFINITY), positive);
}

/** ln x, 2 ulp; subnormal arguments are scaled first. */
export function log(g: Graph, x: Value): Value {
  const subnormal = g.op("f32x4.lt", x, g.f32(2 ** -126));
  const { k, f } = split(g, g.select(subnormal, g.mul(x, g.f32(2 ** 23)), x));
  const exponent = g.sub(g.op("f32x4.convert_i32x4_s", k), g.op("v128.and", subnormal, g.f32(23)));
  return withLimits(g, x, g.f32(0), combine(g, exponent, f));
}

/** ln(1 + x), 2 ulp: what 1 + x rounds off is added to f, scaled like it; where 1 + x needs no scaling, f is x itself. */
export function log1p(g: Graph, x: Value): Value {
  const one = g.f32(1);
  const sum = g.add(one, x);
  const back = g.sub(sum, one);
  const lost = g.add(g.sub(one, g.sub(sum, back)), g.sub(x, back));
  const { k, f } = split(g, sum);
  const scale = g.shift("i32x4.shl", g.op("i32x4.max_s", g.op("i32x4.sub", g.i32(127), k), g.i32(0)), 23);
  const result = combine(g, g.op("f32x4.convert_i32x4_s", k), g.add(f, g.mul(lost, scale)));
  return withLimits(g, x, g.f32(-1), g.copySign(result, x));
}
