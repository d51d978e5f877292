import { arange, DTypeError, ShapeError, type Spec, show, statisticsOf, type Tensor, TensorError } from "@x/tensor";
import { expectShape } from "./expect.ts";

/**
 * A cache as its queries see it, [B, G, capacity, D]. In one piece it lies so. In pages it is a pool [N, G, page, D] and `pages` i32 [B, P] names those of each entry in order, so that position
 * j of entry b lies in page pages[b, j / page] at j mod page: the capacity is P page.
 */
export function cacheSpec(who: string, name: string, cache: Spec, pages: Spec | undefined, ring: boolean): Spec {
  if (!pages) return cache;
  if (ring) throw new TensorError(`${who}: a ring lies in one piece, so it has no pages. Leave pages out, or ring.`);
  if (pages.dtype !== "i32" || pages.shape.length !== 2)
    throw new ShapeError(`${who}: pages must be i32 [batch, pages], got ${pages.dtype} ${show(pages.shape)}.`);
  if (cache.shape.length !== 4)
    throw new ShapeError(`${who}: with pages, ${name} must be [pages, heads, positions, dim], got ${show(cache.shape)}.`);
  const [, heads, page, dim] = cache.shape as [number, number, number, number];
  return { shape: [pages.shape[0]!, heads, pages.shape[1]! * page, dim], dtype: cache.dtype };
}

/** Codes of 8 bits: the number (code - 128) scale, with a scale for each position of each head, in the type that queries `q` are computed in. */
export function expectScales(who: string, name: string, scales: Spec | undefined, codes: Spec, codesName: string, q: Spec): void {
  const [shape, dtype] = [[...codes.shape.slice(0, 3), 1], statisticsOf(q.dtype)];
  if (!scales) throw new TensorError(`${who}: ${codesName} is u8, so it needs ${name}, ${dtype} ${show(shape)}.`);
  if (scales.dtype !== dtype) throw new DTypeError(`${who}: ${name} must be ${dtype}, got ${scales.dtype}. Write .cast("${dtype}").`);
  expectShape(who, name, scales, shape, `to match ${codesName}`);
}

/** Pages put together: [N, G, page, D] -> [B, G, P page, D]. */
export function joinPages(cache: Tensor, pages: Tensor | undefined): Tensor {
  if (!pages) return cache;
  const [batch, count] = pages.shape as [number, number];
  const [, heads, page, dim] = cache.shape as [number, number, number, number];
  return cache
    .take(pages.reshape([batch * count]), 0)
    .reshape([batch, count, heads, page, dim])
    .permute([0, 2, 1, 3, 4])
    .reshape([batch, heads, count * page, dim]);
}

/**
 * The position that each place of a cache holds when `lengths` are filled, i32 [B, 1, 1, capacity]. In a ring position j lies at j mod capacity and stays until j + capacity comes; a place
 * that holds nothing yet gets a position of lengths or beyond.
 */
export function positionsHeld(capacity: number, lengths: Tensor, ring: boolean): Tensor {
  const places = arange(capacity, { device: lengths.device }).reshape([1, 1, 1, capacity]);
  if (!ring || capacity === 0) return places;
  const last = lengths.reshape([lengths.shape[0]!, 1, 1, 1]).sub(1);
  const behind = last.sub(places);
  return behind.ge(0).where(last.sub(behind.mod(capacity)), places);
}
