import { DTypeError, ShapeError } from "../errors.ts";
import { defineOp, one, out, required, type Spec } from "../op.ts";
import { axisIn, show } from "../shape.ts";

const refuseBool = (who: string, x: Spec) => {
  if (x.dtype === "bool") throw new DTypeError(`${who}: takes numbers, got bool. Cast first.`);
};

/** Sorted values along the last axis and where they stood, i32. Stable: equal elements keep their order; NaN comes last either way. */
export const sort = defineOp({
  name: "sort",
  inputs: { x: one() },
  attrs: { descending: false },
  outputs: { values: out(), indices: out() },
  infer: ({ x }) => {
    refuseBool("sort", x);
    axisIn(-1, x.shape.length, "sort");
    return { values: x, indices: { shape: x.shape, dtype: "i32" } };
  },
  saves: ["indices"],
  grad: ({ saved: { indices }, specs: { x }, upstream }) => ({ x: upstream.values?.scatterAdd(indices, -1, x.shape.at(-1)!) }),
});

/** The k largest values along the last axis, in descending order, and where they stood; the first of equals first. */
export const topK = defineOp({
  name: "topK",
  inputs: { x: one() },
  attrs: { k: required<number>() },
  outputs: { values: out(), indices: out() },
  infer: ({ x }, { k }) => {
    refuseBool("topK", x);
    const extent = x.shape[axisIn(-1, x.shape.length, "topK")]!;
    if (!Number.isInteger(k) || k < 0 || k > extent)
      throw new ShapeError(`topK: k must be from 0 to ${extent} for ${show(x.shape)}, got ${k}.`);
    const shape = [...x.shape.slice(0, -1), k];
    return { values: { shape, dtype: x.dtype }, indices: { shape, dtype: "i32" } };
  },
  saves: ["indices"],
  grad: ({ saved: { indices }, specs: { x }, upstream }) => ({ x: upstream.values?.scatterAdd(indices, -1, x.shape.at(-1)!) }),
});
