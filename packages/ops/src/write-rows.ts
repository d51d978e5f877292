import { arange, defineOp, maybe, one, out, ShapeError, show, type Tensor } from "@x/tensor";
import { cacheSpec, positionsHeld } from "./cache-layout.ts";
import { expectDType, expectEntries } from "./expect.ts";

/**
 * A cache with new rows written at positions starts[b], ..., starts[b] + n - 1 of each batch entry: cache [B, G, capacity, D], x [B, G, n, D], starts i32 [B]. Rows that fall outside are dropped.
 *
 * As a `ring` position j lies at j mod capacity: of more rows than that the last ones stay. With `pages` i32 [B, P] the cache is a pool [N, G, page, D], and position j lies in page
 * pages[b, j / page]; no two rows may come to lie at one place, so a page that several entries share is not written through them.
 */
export const writeRows = defineOp({
  name: "writeRows",
  version: 2,
  inputs: { cache: one(), x: one(), starts: one(), pages: maybe() },
  attrs: { ring: false },
  outputs: { y: out() },
  infer: ({ cache, x, starts, pages }, { ring }) => {
    expectDType("writeRows", "x", x, cache, "cache");
    const { shape } = cacheSpec("writeRows", "cache", cache, pages, ring);
    const fits = shape.length === 4 && x.shape.length === 4 && [0, 1, 3].every((axis) => x.shape[axis] === shape[axis]);
    if (!fits)
      throw new ShapeError(
        `writeRows: x ${show(x.shape)} must agree with cache ${show(cache.shape)}${pages ? ` in pages ${show(pages.shape)}` : ""} on every axis but the length.`,
      );
    expectEntries("writeRows", "starts", starts, shape[0]!);
    return { y: cache };
  },
  reference: ({ cache, x, starts, pages }, { ring }) => {
    const n = x.shape[2]!;
    if (x.size === 0) return { y: cache };
    if (pages) return { y: writePages(cache, x, starts, pages) };
    const [batch, heads, capacity, dim] = cache.shape as [number, number, number, number];
    const from = positionsHeld(capacity, starts.add(n), ring)
      .reshape([-1, 1, capacity, 1])
      .sub(starts.reshape([batch, 1, 1, 1]));
    const inside = from.ge(0).and(from.lt(n));
    const picked = x.gather(from.expand([batch, heads, capacity, dim]), 2);
    return { y: inside.where(picked, cache) };
  },
  mayReuse: { y: "cache" },
});

/** By the row that each place of the pool gets, which is found by scattering the rows' numbers. */
function writePages(cache: Tensor, x: Tensor, starts: Tensor, pages: Tensor): Tensor {
  const [count, heads, page, dim] = cache.shape as [number, number, number, number];
  const [batch, , n] = x.shape as [number, number, number, number];
  const most = pages.shape[1]!;
  const { device } = cache;
  const at = starts.reshape([batch, 1]).add(arange(n, { device }));
  const owned = pages.gather(
    at
      .div(page)
      .maximum(0)
      .minimum(most - 1),
    1,
  );
  const outside = at.lt(0).or(at.ge(most * page));
  // What falls outside goes to a place beyond the pool.
  const places = outside.where(count * page, owned.mul(page).add(at.mod(page)));
  const source = arange(batch * n, { device })
    .add(1)
    .putAdd(places.reshape([batch * n]), 0, count * page + 1)
    .slice(0, 0, count * page)
    .sub(1);
  const rows = x.permute([0, 2, 1, 3]).reshape([batch * n, heads * dim]);
  const picked = rows.take(source.maximum(0), 0).reshape([count, page, heads, dim]).permute([0, 2, 1, 3]);
  return source.ge(0).reshape([count, 1, page, 1]).expand([count, heads, page, dim]).where(picked, cache);
}
