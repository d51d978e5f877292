import type { Graph, Value } from "./graph.ts";
import { demote, promote } from "./wide.ts";

/** (atanh(s) / s - 1) / s^2 in s^2, for |s| <= 3 - sqrt(8). */
const atanhTerms = [
  0.33333333333292176, 0.20000000026756182, 0.14285708473614522, 0.11111691941230352, 0.09061632389397836, 0.08412114164183353,
];
/** (2^r - 1) / r for |r| <= 1/2. */
const exp2Terms = [
  0.6931471805599495, 0.240226506957122, 0.055504108664443205, 0.00961812918360039, 0.0013333558231375857, 0.00015403439255575857,
  1.525265639925187e-5, 1.325866788992195e-6, 1.0208864771670095e-7,
];
/** The upper word of sqrt(1/2) as f64, less the exponent bias: what is above it has k >= 0 after the shift, biased by 1023. */
const splitWord = 0x3fe6a09e - 0x3ff00000;
const infinity = Number.POSITIVE_INFINITY;

/** log2 of f64 lanes that are positive, zero, infinite or NaN, to about 1e-15. */
function log2(g: Graph, x: Value): Value {
  const biased = g.shift("i64x2.shr_u", g.op("i64x2.sub", x, g.i64(splitWord, 0)), 52);
  const k = g.op("f64x2.sub", g.op("v128.or", biased, g.f64(2 ** 52)), g.f64(2 ** 52 + 1023));
  const m = g.op("i64x2.add", g.op("i64x2.sub", x, g.shift("i64x2.shl", biased, 52)), g.f64(1));
  const s = g.op("f64x2.div", g.op("f64x2.sub", m, g.f64(1)), g.op("f64x2.add", m, g.f64(1)));
  const square = g.op("f64x2.mul", s, s);
  const series = g.op("f64x2.mul", square, g.polynomial(square, atanhTerms, "f64"));
  const scaled = g.op("f64x2.mul", s, g.f64(2 * Math.LOG2E));
  const finite = g.op("f64x2.add", k, g.op("f64x2.add", scaled, g.op("f64x2.mul", scaled, series)));
  const known = g.select(g.op("f64x2.lt", x, g.f64(infinity)), finite, x);
  return g.select(g.op("f64x2.eq", x, g.f64(0)), g.f64(-infinity), known);
}

/** 2^x of f64 lanes, exact enough for f32; far beyond the range of f32 it stops growing or falling. */
function exp2(g: Graph, x: Value): Value {
  const bounded = g.op("f64x2.pmax", g.op("f64x2.pmin", x, g.f64(130)), g.f64(-160));
  const shifted = g.op("f64x2.add", bounded, g.f64(1.5 * 2 ** 52));
  const r = g.op("f64x2.sub", bounded, g.op("f64x2.sub", shifted, g.f64(1.5 * 2 ** 52)));
  const scale = g.op("i64x2.add", g.shift("i64x2.shl", shifted, 52), g.f64(1));
  return g.op("f64x2.mul", g.op("f64x2.add", g.op("f64x2.mul", r, g.polynomial(r, exp2Terms, "f64")), g.f64(1)), scale);
}

/** x^y, correctly rounded but for ties of f64's making: 2^(y log2 |x|) in f64, then the special cases of IEEE 754 (pow(1, NaN) is 1). */
export function pow(g: Graph, x: Value, y: Value): Value {
  const magnitude = g.abs(x);
  const [lowY, highY] = promote(g, y);
  const [low, high] = promote(g, magnitude).map((half, index) => exp2(g, g.op("f64x2.mul", index === 0 ? lowY : highY, log2(g, half)))) as [
    Value,
    Value,
  ];
  const power = demote(g, low, high);

  const one = g.f32(1);
  const halved = g.mul(y, g.f32(0.5));
  const integer = g.op("f32x4.eq", g.op("f32x4.trunc", y), y);
  const even = g.op("f32x4.eq", g.op("f32x4.trunc", halved), halved);
  const odd = g.op("v128.andnot", integer, even);
  const signed = g.op("v128.xor", power, g.op("v128.and", g.op("v128.and", x, odd), g.i32(0x80000000)));
  const negative = g.op("v128.and", g.op("f32x4.lt", x, g.f32(0)), g.op("f32x4.lt", magnitude, g.f32(infinity)));
  const real = g.select(g.op("v128.andnot", negative, integer), g.f32(Number.NaN), signed);
  const unit = g.op("v128.and", g.op("f32x4.eq", magnitude, one), g.op("f32x4.eq", g.abs(y), g.f32(infinity)));
  const always = g.op("v128.or", g.op("f32x4.eq", x, one), g.op("f32x4.eq", y, g.f32(0)));
  return g.select(g.op("v128.or", unit, always), one, real);
}
