import type { Tensor } from "@x/tensor";

/** The heads of one call: q [batch, H, n, D], k [batch, G, n, D], v [batch, G, n, Dv]. */
export interface NewHeads {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

/** How a layer looks at what is cached. */
export interface CachedLook {
  /** Factor on the scores. */
  readonly scale: number;
  /** The scores become softcap tanh(scores / softcap); 0: they stay. */
  readonly softcap: number;
  /** Keys a query sees, its own the last; 0: all before it. */
  readonly window: number;
  /** Which keys, of those that are no later, queries see: queries i32 [batch, n], keys i32 [batch, places] -> bool [batch, n, places], positions counted without padding (below 0 within it). Absent: all of the window. */
  sees?(queries: Tensor, keys: Tensor): Tensor;
  /** What is added by distance, [H, 2 reach + 1]; undefined: nothing. It is made anew at each call, so ask for no more than can be seen. */
  bias(reach: number): Tensor | undefined;
  /** The layer's attention of a first call, which sees nothing but itself; keyMask bool [batch, n] is false at the padding. */
  whole(heads: NewHeads, keyMask: Tensor | undefined): Tensor;
}

/** All that is cached, for a layer whose attention is its own. Positions count without padding, and are below 0 within it. */
export interface CachedKeys {
  /** k [batch, G, places, D] and v [batch, G, places, Dv]; v is 0 where nothing was written yet, k may be anything there. */
  readonly k: Tensor;
  readonly v: Tensor;
  /** i32 [batch, n]: where the queries of this call stand. */
  readonly queries: Tensor;
  /** i32 [batch, places]: where the keys stand, after every query where there is none yet. */
  readonly keys: Tensor;
}

/** What one attention layer reads and writes while generating. */
export interface LayerCache {
  /** Writes the new keys and values, and attends to everything up to them -> [batch, H, n, Dv]. */
  attend(heads: NewHeads, look: CachedLook): Tensor;
  /** Writes the new keys and values, and gives all of them: a query sees keys from 0 up to its own position. A first call gives its own alone. */
  append(heads: Omit<NewHeads, "q">): CachedKeys;
}
