import type { Graph, Value } from "./graph.ts";
import { demote, join, promote } from "./wide.ts";

/*
 * x = n pi/2 + r, in f64. The first two parts of pi/2 have 25 bits, so that n times them is exact for |x| up to 2^28.
 * Beyond that the quadrant is lost: results stay between -1 and 1 but mean nothing (neighbouring f32 are 32 apart there).
 */
const parts = [1.5707963109016418, 1.5893254712295857e-8, 6.123233995736766e-17] as const;
const sinTerms = [-0.16666655242443085, 0.008332173340022564, -0.00019516656175255775];
const cosTerms = [0.04166664555668831, -0.001388736185617745, 2.4437727915938012e-5];

function reduceHalf(g: Graph, x: Value): { n: Value; r: Value } {
  const n = g.op("f64x2.nearest", g.op("f64x2.mul", x, g.f64(2 / Math.PI)));
  const r = parts.reduce((rest, part) => g.op("f64x2.sub", rest, g.op("f64x2.mul", n, g.f64(part))), x);
  return { n: g.op("i32x4.trunc_sat_f64x2_s_zero", n), r };
}

/** Sine and cosine of |x| reduced to -pi/4 ... pi/4, and the quadrant as an integer. */
function reduced(g: Graph, x: Value): { sine: Value; cosine: Value; quadrant: Value } {
  const [low, high] = promote(g, g.abs(x)).map((half) => reduceHalf(g, half)) as [{ n: Value; r: Value }, { n: Value; r: Value }];
  const r = g.op("f32x4.pmax", g.op("f32x4.pmin", demote(g, low.r, high.r), g.f32(0.8)), g.f32(-0.8));
  const square = g.mul(r, r);
  const sine = g.add(r, g.mul(g.mul(r, square), g.polynomial(square, sinTerms)));
  const tail = g.mul(g.mul(square, square), g.polynomial(square, cosTerms));
  const cosine = g.add(g.sub(g.f32(1), g.mul(square, g.f32(0.5))), tail);
  return { sine, cosine, quadrant: join(g, low.n, high.n) };
}

/** The value that belongs to a quadrant: `even` or `odd`, negative in the upper two of each four. */
function turn(g: Graph, quadrant: Value, even: Value, odd: Value): Value {
  const isOdd = g.op("i32x4.neg", g.op("v128.and", quadrant, g.i32(1)));
  const sign = g.shift("i32x4.shl", g.op("v128.and", quadrant, g.i32(2)), 30);
  return g.op("v128.xor", g.select(isOdd, odd, even), sign);
}

/** 2 ulp for |x| <= 2^28. */
export function sin(g: Graph, x: Value): Value {
  const { sine, cosine, quadrant } = reduced(g, x);
  return g.op("v128.xor", turn(g, quadrant, sine, cosine), g.op("v128.and", x, g.i32(0x80000000)));
}

/** 2 ulp for |x| <= 2^28. */
export function cos(g: Graph, x: Value): Value {
  const { sine, cosine, quadrant } = reduced(g, x);
  return turn(g, g.op("i32x4.add", quadrant, g.i32(1)), sine, cosine);
}
