import { reductions, wasmKernel } from "@x/kernels-wasm";
import type { Program } from "@x/tensor";
import { l2Normalize } from "./l2-normalize.ts";

/** 1 / max(sqrt(sum of squares), eps) of one number; `eps` is a constant of the program. */
const inverse = (eps: number): Program => ({
  leaves: ["f32"],
  instructions: [
    { op: "leaf", leaf: 0, type: "f32" },
    { op: "sqrt", args: [0], type: "f32" },
    { op: "literal", value: eps, type: "f32" },
    { op: "max", args: [1, 2], type: "f32" },
    { op: "literal", value: 1, type: "f32" },
    { op: "div", args: [4, 3], type: "f32" },
  ],
  outputs: [{ register: 5, dtype: "f32" }],
});

const product: Program = {
  leaves: ["f32", "f32"],
  instructions: [
    { op: "leaf", leaf: 0, type: "f32" },
    { op: "leaf", leaf: 1, type: "f32" },
    { op: "mul", args: [0, 1], type: "f32" },
  ],
  outputs: [{ register: 2, dtype: "f32" }],
};

/** Two launches of what the device has: a reduction, and elementwise programs that it compiles. A module of your own would do as well. */
export const l2NormalizeWasm = wasmKernel(l2Normalize, {
  plan(p, { specs: { x }, attrs: { eps } }) {
    const n = x.shape.at(-1)!;
    const rows = x.shape.slice(0, -1).reduce((a, b) => a * b, 1);
    const [from, to] = [p.input("x"), p.output("y")];
    const squares = p.scratch(4 * rows);
    const scale = p.wanted("inverse") ?? p.scratch(4 * rows);
    p.run("reduce_f32", { out: squares, x: from, n, inner: 1, columns: 64, op: reductions.squares }, rows, n / 4);
    p.program(inverse(eps), [rows], [{ place: squares, strides: [1], shape: [rows] }], scale);
    const shape = [rows, n];
    p.program(
      product,
      shape,
      [
        { place: from, strides: [n, 1], shape },
        { place: scale, strides: [1, 0], shape },
      ],
      to,
    );
  },
});
