import type { WasmFunction } from "./assembler.ts";
import { Code } from "./code.ts";
import type { Graph, Value } from "./graph.ts";

/** Index of the function that `remainderFunction` gives, in modules that need it. */
export const remainderIndex = 1;

/** x - trunc(x / y) y without rounding, lane by lane: how many steps it takes depends on the quotient. */
export function remainder(g: Graph, x: Value, y: Value): Value {
  return [0, 1, 2, 3].reduce((result, lane) => {
    const one = g.call(remainderIndex, "f32", g.with("f32x4.extract_lane", [lane], x), g.with("f32x4.extract_lane", [lane], y));
    return g.with("f32x4.replace_lane", [lane], result, one);
  }, x);
}

/**
 * (x: f32, y: f32) => f32. r = |x|; while r >= |y|: s = |y| 2^max(0, e - 27), where 2^e <= r / |y| < 2^(e+1); r -= trunc(r / s) s.
 * The quotients have 28 bits and s has 24, so all is exact in f64. An infinite x, a zero y and NaN make r NaN, which ends the loop.
 */
export function remainderFunction(): WasmFunction {
  const code = new Code(2);
  const [x, y] = [0, 1];
  const r = code.local("f64");
  const b = code.local("f64");
  const s = code.local("f64");
  code.get(x).op("f32.abs").op("f64.promote_f32").set(r);
  code.get(y).op("f32.abs").op("f64.promote_f32").set(b);
  code.nest("block", (done) => {
    code.get(r).get(b).op("f64.lt").branchIf(done);
    code.nest("loop", (again) => {
      const exponent = [0x42, ...signed64ExponentMask];
      code
        .get(r)
        .get(b)
        .op("f64.div")
        .op("i64.reinterpret_f64")
        .raw(...exponent)
        .op("i64.and")
        .op("f64.reinterpret_i64");
      code
        .raw(...f64Const(2 ** -27))
        .op("f64.mul")
        .set(s);
      code
        .get(s)
        .raw(...f64Const(1))
        .get(s)
        .raw(...f64Const(1))
        .op("f64.ge")
        .op("select")
        .get(b)
        .op("f64.mul")
        .set(s);
      code.get(r).get(r).get(s).op("f64.div").op("f64.trunc").get(s).op("f64.mul").op("f64.sub").tee(r);
      code.get(b).op("f64.ge").branchIf(again);
    });
  });
  code.get(r).op("f32.demote_f64").get(x).op("f32.copysign");
  return { parameters: ["f32", "f32"], results: ["f32"], locals: code.locals, body: code.finish() };
}

/** LEB128 of 0x7ff0000000000000: 52 zero bits, then eleven ones and the sign bit 0. */
const signed64ExponentMask = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0xf8, 0xff, 0x00];

function f64Const(value: number): number[] {
  return [0x44, ...new Uint8Array(new Float64Array([value]).buffer)];
}
