import type { Graph, Value } from "./graph.ts";

/*
 * x = n ln 2 + r with |r| <= ln 2 / 2. Adding 1.5 * 2^23 leaves n in the low bits of the sum: rounding and conversion in one addition.
 * ln 2 is in two parts, the first short enough that n times it is exact. Polynomials are minimax fits of (e^r - 1 - r) / r^2.
 */
const magic = 12582912;
/** 1.5 * 2^23 + 127: adding it leaves a whole number with the bias of an exponent in the low bits. */
const magicBiased = 12583039;
export const ln2High = 0.693359375;
export const ln2Low = -2.1219444e-4;
const expTerms = [0.5, 0.166665181517601, 0.04166620224714279, 0.008369024842977524, 0.0013950725551694632];
/** Of -(e^-r - 1 + r) / r^2. */
const sigmoidTerms = expTerms.map((term, i) => (i % 2 === 0 ? -term : term));
const expm1Terms = [0.5, 0.1666666716337204, 0.04166635125875473, 0.00833327230066061, 0.0013941207434982061, 0.00019914409494958818];

const clamp = (g: Graph, x: Value, low: number, high: number): Value => g.op("f32x4.pmax", g.op("f32x4.pmin", x, g.f32(high)), g.f32(low)); // pmin and pmax pass a NaN in their first operand on

/** r, and n + 1.5 * 2^23 as f32: its low bits are those of the integer n. */
function reduce(g: Graph, x: Value): { r: Value; shifted: Value } {
  const shifted = g.multiplyAdd(x, g.f32(Math.LOG2E), g.f32(magic));
  const n = g.sub(shifted, g.f32(magic));
  return { shifted, r: g.multiplyAdd(n, g.f32(-ln2Low), g.multiplyAdd(n, g.f32(-ln2High), x)) };
}

/** 2^(n + bias - 127) for n + bias in 1 ... 254. */
const powerOfTwo = (g: Graph, n: Value, bias: number): Value => g.shift("i32x4.shl", g.op("i32x4.add", n, g.i32(bias)), 23);

const fraction = (g: Graph, r: Value): Value => g.add(g.multiplyAdd(g.mul(r, r), g.polynomial(r, expTerms), r), g.f32(1));

/** e^x, 1 ulp, with subnormal results, overflow to infinity and NaN as they should be: 2^n is applied in two factors. */
export function exp(g: Graph, x: Value): Value {
  const { r, shifted } = reduce(g, clamp(g, x, -104, 89));
  const n = g.op("i32x4.sub", shifted, g.f32(magic));
  const half = g.shift("i32x4.shr_s", n, 1);
  const rest = g.op("i32x4.sub", n, half);
  return g.mul(g.mul(fraction(g, r), powerOfTwo(g, half, 127)), powerOfTwo(g, rest, 127));
}

/** e^x for arguments that are known to lie in -87 ... 88, or NaN. */
export function boundedExp(g: Graph, x: Value): Value {
  const { r, shifted } = reduce(g, x);
  // The bits of the magic number vanish in the shift.
  return g.mul(fraction(g, r), g.op("i32x4.add", g.shift("i32x4.shl", shifted, 23), g.f32(1)));
}

/** e^x - 1, 2 ulp, as 2 (2^(n-1) (e^r - 1) + (2^(n-1) - 1/2)): half the size, so that 2^128 is never needed. */
export function expm1(g: Graph, x: Value): Value {
  const { r, shifted } = reduce(g, clamp(g, x, -18, 89));
  const small = g.multiplyAdd(g.mul(r, r), g.polynomial(r, expm1Terms), r);
  const scale = powerOfTwo(g, g.op("i32x4.sub", shifted, g.f32(magic)), 126);
  const half = g.multiplyAdd(scale, small, g.sub(scale, g.f32(0.5)));
  return g.select(g.op("f32x4.lt", g.abs(x), g.f32(2 ** -26)), x, g.add(half, half));
}

/** 1 / (1 + e^-x), 2.5 ulp: small results keep their relative accuracy, and below 2^-127.5 there is 0. -x = n ln 2 - r; n = 128 makes the power infinite. */
export function sigmoid(g: Graph, x: Value): Value {
  const t = clamp(g, x, -89, 87);
  const shifted = g.multiplyAdd(t, g.f32(-Math.LOG2E), g.f32(magicBiased));
  const n = g.sub(shifted, g.f32(magicBiased));
  const r = g.multiplyAdd(n, g.f32(ln2Low), g.multiplyAdd(n, g.f32(ln2High), t));
  const one = g.f32(1);
  const ofMinusR = g.sub(one, g.multiplyAdd(g.mul(r, r), g.polynomial(r, sigmoidTerms), r));
  return g.div(one, g.multiplyAdd(ofMinusR, g.shift("i32x4.shl", shifted, 23), one));
}

const tanhTerms = [2, -1.99999988079071, 1.3333234786987305, -0.6666752099990845, 0.2677305638790131, -0.0888480618596077];

/** m / (2 - m) with m = 1 - e^-2|x| to its relative accuracy near 0 too; 2.5 ulp. -2|x| = n ln 2 - 2 r, |r| <= ln 2 / 4. */
export function tanh(g: Graph, x: Value): Value {
  const t = g.op("f32x4.pmin", g.abs(x), g.f32(9.02));
  const shifted = g.multiplyAdd(t, g.f32(-2 * Math.LOG2E), g.f32(magicBiased));
  const n = g.sub(shifted, g.f32(magicBiased));
  const r = g.multiplyAdd(n, g.f32(ln2Low / 2), g.multiplyAdd(n, g.f32(ln2High / 2), t));
  const power = g.shift("i32x4.shl", shifted, 23);
  const m = g.multiplyAdd(g.mul(r, power), g.polynomial(r, tanhTerms), g.sub(g.f32(1), power));
  return g.signed(g.div(m, g.sub(g.f32(2), m)), x);
}
