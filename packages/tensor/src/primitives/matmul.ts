import { dtypes } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { defineOp, one, out } from "../op.ts";
import { broadcast, show } from "../shape.ts";
import { sumTo } from "./reduce.ts";

/** Batched matrix product, accumulated in f32 (f64 for f64). [..., m, k] x [..., k, n] -> [..., m, n]; leading axes broadcast. */
export const matmul = defineOp({
  name: "matmul",
  inputs: { a: one(), b: one() },
  outputs: { y: out() },
  infer: ({ a, b }) => {
    if (a.dtype !== b.dtype) throw new DTypeError(`matmul: a is ${a.dtype}, b is ${b.dtype}. Nothing is promoted: cast one.`);
    if (dtypes[a.dtype].kind !== "float") throw new DTypeError(`matmul: takes floating point, got ${a.dtype}. Cast first.`);
    if (a.shape.length < 2 || b.shape.length < 2)
      throw new ShapeError(
        `matmul: both need at least two axes, got ${show(a.shape)} and ${show(b.shape)}. Reshape a vector to [1, k] or [k, 1].`,
      );
    const [m, k] = a.shape.slice(-2) as [number, number];
    const [inner, n] = b.shape.slice(-2) as [number, number];
    if (k !== inner)
      throw new ShapeError(`matmul: a ${show(a.shape)} has ${k} columns, b ${show(b.shape)} has ${inner} rows. Transpose one?`);
    const lead = broadcast([a.shape.slice(0, -2), b.shape.slice(0, -2)], "matmul: leading axes");
    return { y: { shape: [...lead, m, n], dtype: a.dtype } };
  },
  saves: ["a", "b"],
  grad: ({ saved: { a, b }, specs, upstream: { y: g }, needs }) => ({
    a: needs("a") ? sumTo(g!.matmul(b.transpose(-1, -2)), specs.a.shape) : undefined,
    b: needs("b") ? sumTo(a.transpose(-1, -2).matmul(g!), specs.b.shape) : undefined,
  }),
});
