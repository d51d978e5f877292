import { arange } from "../create.ts";
import { DTypeError } from "../errors.ts";
import { defineOp, one, out, required, type Spec } from "../op.ts";
import { axisIn } from "../shape.ts";

const attrs = { axis: required<number>(), reverse: false, exclusive: false };
const infer =
  (who: string) =>
  ({ x }: { x: Spec }, { axis }: { axis: number }) => {
    axisIn(axis, x.shape.length, who);
    if (x.dtype === "bool") throw new DTypeError(`${who}: takes numbers, got bool. Cast first.`);
    return { y: x };
  };

/** Running sums along an axis; `exclusive` leaves the element itself out, `reverse` runs from the end. */
export const cumsum = defineOp({
  name: "cumsum",
  inputs: { x: one() },
  attrs,
  outputs: { y: out() },
  infer: infer("cumsum"),
  grad: ({ attrs: { axis, reverse, exclusive }, upstream }) => ({ x: upstream.y!.cumsum(axis, { reverse: !reverse, exclusive }) }),
});

/** Running products along an axis. */
export const cumprod = defineOp({
  name: "cumprod",
  inputs: { x: one() },
  attrs,
  outputs: { y: out() },
  infer: infer("cumprod"),
  saves: ["x"],
  /*
   * dx_i = sum over j of g_j * prod of x_k, k in the window of j, k != i. Written as a masked product over pairs, quadratic in the axis, so that
   * zeros in x do not divide; running products are taken over short axes.
   */
  grad: ({ saved: { x }, attrs: { axis, reverse, exclusive }, upstream }) => {
    const at = axisIn(axis, x.shape.length, "cumprod");
    const last = x.shape.length - 1;
    const order = x.shape.map((_, i) => (i === at ? last : i === last ? at : i));
    const moved = x.permute(order);
    const n = moved.shape[last]!;
    // grid[..., i, j] = prod over the window of j of x with x_i replaced by 1
    const row = arange(n, { device: x.device }).reshape([n, 1]);
    const column = arange(n, { device: x.device });
    const eye = row.eq(column);
    const grid = eye.where(
      x
        .onesLike()
        .permute(order)
        .unsqueeze(-2)
        .expand([...moved.shape.slice(0, -1), n, n]),
      moved.unsqueeze(-2).expand([...moved.shape.slice(0, -1), n, n]),
    );
    const products = cumprod({ x: grid }, { axis: -1, reverse, exclusive });
    const inWindow = reverse ? (exclusive ? row.gt(column) : row.ge(column)) : exclusive ? row.lt(column) : row.le(column);
    const g = upstream.y!.permute(order).unsqueeze(-2).expand(products.shape);
    const weighted = inWindow.where(products.mul(g), products.zerosLike());
    return { x: weighted.sum(-1).permute(order) };
  },
});

/** Running maxima along an axis. The gradient goes to the element that set the maximum, the earliest of equals. */
export const cummax = defineOp({
  name: "cummax",
  inputs: { x: one() },
  attrs: { axis: required<number>() },
  outputs: { y: out() },
  infer: infer("cummax"),
  saves: ["x", "y"],
  grad: ({ saved: { x, y }, attrs: { axis }, upstream }) => {
    const at = axisIn(axis, x.shape.length, "cummax");
    if (x.shape[at] === 0) return { x: x.zerosLike() };
    // A new maximum starts where y rises (and at the first element); its run is the running count of such starts.
    const n = x.shape[at]!;
    const rises = y.slice(at, 1, n).gt(y.slice(at, 0, n - 1));
    const first = y.slice(at, 0, 1);
    const starts = first.eq(first).cast("i32").concatWith(rises.cast("i32"), at);
    const run = cumsum({ x: starts }, { axis: at }).sub(1);
    const sums = upstream.y!.scatterAdd(run, at, n);
    const zero = x.zerosLike();
    return { x: starts.ne(0).where(sums.gather(run, at), zero) };
  },
});
