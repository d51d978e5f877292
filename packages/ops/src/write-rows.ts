import { arange, defineOp, one, out, ShapeError, show } from "@x/tensor";
import { expectDType, expectEntries } from "./expect.ts";

/**
 * A cache with new rows written at starts[b], ..., starts[b] + n - 1 of each batch entry: cache [B, G, capacity, D], x [B, G, n, D], starts i32 [B]. Rows that fall outside are dropped.
 */
export const writeRows = defineOp({
  name: "writeRows",
  inputs: { cache: one(), x: one(), starts: one() },
  outputs: { y: out() },
  infer: ({ cache, x, starts }) => {
    expectDType("writeRows", "x", x, cache, "cache");
    const fits = cache.shape.length === 4 && x.shape.length === 4 && [0, 1, 3].every((axis) => x.shape[axis] === cache.shape[axis]);
    if (!fits)
      throw new ShapeError(`writeRows: x ${show(x.shape)} must agree with cache ${show(cache.shape)} on every axis but the length.`);
    expectEntries("writeRows", "starts", starts, cache.shape[0]!);
    return { y: cache };
  },
  reference: ({ cache, x, starts }) => {
    const [batch, heads, capacity, dim] = cache.shape as [number, number, number, number];
    const n = x.shape[2]!;
    if (n === 0) return { y: cache };
    const from = arange(capacity, { device: cache.device })
      .reshape([1, 1, capacity, 1])
      .sub(starts.reshape([batch, 1, 1, 1]));
    const inside = from.ge(0).and(from.lt(n));
    const picked = x.gather(from.expand([batch, heads, capacity, dim]), 2);
    return { y: inside.where(picked, cache) };
  },
  mayReuse: { y: "cache" },
});
