import { boundedExp } from "./exp.ts";
import type { Graph, Value } from "./graph.ts";

/** (erf(x) / x - 1) in x^2, up to 0.9275. */
const small = [
  0.12837915122509003, -0.3761249780654907, 0.11281841993331909, -0.026767021045088768, 0.004993155598640442, -0.0005988134071230888,
];
/** -ln(1 - erf(x)) / x, from 0.9275 to 3.95, where erf rounds to 1. */
const large = [
  1.1286485195159912, 0.6351513266563416, 0.10623687505722046, -0.023762060329318047, 0.0036424577701836824, -0.00032280353480018675,
  1.1231270036660135e-5,
];

/** The error function, 2 ulp: minimax fits around 0, and 1 - e^-p(x) beyond. */
export function erf(g: Graph, x: Value): Value {
  const t = g.abs(x);
  const near = g.multiplyAdd(t, g.polynomial(g.mul(t, t), small), t);
  const bounded = g.op("f32x4.pmin", t, g.f32(3.95));
  const exponent = g.op("f32x4.neg", g.mul(bounded, g.polynomial(bounded, large)));
  const far = g.sub(g.f32(1), boundedExp(g, exponent));
  return g.signed(g.select(g.op("f32x4.lt", t, g.f32(0.9275)), near, far), x);
}
