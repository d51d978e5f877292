import { axisIn, cummax, cumprod, cumsum } from "@x/tensor";
import { reductions } from "../abi.ts";
import { wasmKernel } from "./kernel.ts";
import { wideOf } from "./planner.ts";
import { ceilDiv, product } from "./work.ts";

/** Columns of the inner extent that one unit takes. */
const columns = 32;

const running = (op: typeof cumsum, kind: "sum" | "prod" | "max") =>
  wasmKernel(op, {
    plan(p, { specs: { x }, attrs }) {
      const at = axisIn(attrs.axis, x.shape.length, kind);
      const [outer, n, inner] = [product(x.shape.slice(0, at)), x.shape[at]!, product(x.shape.slice(at + 1))];
      const direction = { reverse: attrs.reverse ? 1 : 0, exclusive: attrs.exclusive ? 1 : 0 };
      const args = { out: p.output("y"), x: p.input("x"), n, inner, columns, op: reductions[kind], ...direction };
      const [units, cost] = [outer * ceilDiv(inner, columns), 2 * n * Math.min(columns, inner)];
      const wide = wideOf(x.dtype);
      if (wide === "f32") p.run("cumulate", args, units, cost);
      else p.run("cumulate_i32", { ...args, isUnsigned: wide === "u32" ? 1 : 0 }, units, cost);
    },
  });

export const cumulativeKernels = [
  running(cumsum, "sum"),
  running(cumprod as unknown as typeof cumsum, "prod"),
  running(cummax as unknown as typeof cumsum, "max"),
];
