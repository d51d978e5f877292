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
  /** What is added by distance, [H, 2 reach + 1]; undefined: nothing. It is made anew at each call, so ask for no more than can be seen. */
  bias(reach: number): Tensor | undefined;
  /** The layer's attention of a first call, which sees nothing but itself; keyMask bool [batch, n] is false at the padding. */
  whole(heads: NewHeads, keyMask: Tensor | undefined): Tensor;
}

/** What one attention layer reads and writes while generating. */
export interface LayerCache {
  /** Writes the new keys and values, and attends to everything up to them -> [batch, H, n, Dv]. */
  attend(heads: NewHeads, look: CachedLook): Tensor;
}
