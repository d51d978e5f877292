import { arange, full, type Tensor } from "@x/tensor";
import type { GlobalTokens } from "./global-tokens.ts";

/** Columns of queries and keys whose products, times the scale, are scores: they hide what no block map can know, since it depends on where an entry has its global tokens. */
export interface Columns {
  readonly q: Tensor;
  readonly k: Tensor;
}

/** Queries do not see the slots of tokens that come later: q [batch, length, slots], k [batch, keys, slots], the slots first among the keys. */
export function hideLaterSlots(tokens: GlobalTokens, length: number, keys: number, scale: number, like: Tensor): Columns {
  const { places } = tokens;
  const [batch, slots] = places.shape as [number, number];
  const behind = [
    [0, 0],
    [0, keys - slots],
    [0, 0],
  ] as const;
  const hides = arange(length, { device: places.device })
    .reshape([1, length, 1])
    .lt(places.reshape([batch, 1, slots]));
  return { q: hidden(hides, scale, like), k: ones(tokens, like).pad(behind) };
}

/** The queries of tokens do not see keys that come later: q [batch, slots, slots], k [batch, length, slots]. */
export function hideLaterKeys(tokens: GlobalTokens, length: number, scale: number, like: Tensor): Columns {
  const { places } = tokens;
  const [batch, slots] = places.shape as [number, number];
  const hides = arange(length, { device: places.device })
    .reshape([1, length, 1])
    .gt(places.reshape([batch, 1, slots]));
  return { q: ones(tokens, like), k: hidden(hides, scale, like) };
}

/** A one for each slot in a column of its own, [batch, slots, slots]. */
function ones({ places: { shape, device } }: GlobalTokens, { dtype }: Tensor): Tensor {
  const [batch, slots] = shape as [number, number];
  const at = arange(slots, { device });
  return at
    .eq(at.reshape([slots, 1]))
    .expand([batch, slots, slots])
    .cast(dtype);
}

/** Where hidden, what is far below any score after the scale; within half precision too. */
function hidden(hides: Tensor, scale: number, { dtype }: Tensor): Tensor {
  const size = Math.min(1e4 / Math.abs(scale), dtype === "f16" ? 6e4 : 1e30);
  return hides.where(full(hides.shape, -Math.sign(scale) * size, { dtype, device: hides.device }), 0);
}
