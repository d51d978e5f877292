import { SequenceState } from "@x/nn";
import { decodeAttention } from "@x/ops";
import type { Device, DType, Tensor } from "@x/tensor";
import type { CachedKeys, CachedLook, LayerCache, NewHeads } from "./layer-cache.ts";

/** The heads of a model whose keys and values are cached. */
export interface CachedHeads {
  readonly numLayers: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly valueDim?: number;
  readonly dtype?: DType;
  readonly device?: Device | undefined;
}

/** What all caches of keys and values share: a part for each layer. What is padded is never seen, and positions count without it. */
export abstract class AttentionCache extends SequenceState {
  readonly layers: readonly LayerCache[];

  constructor({ batch, numLayers, device }: Pick<CachedHeads, "numLayers" | "device"> & { readonly batch: number }) {
    super(batch, device);
    this.layers = Array.from({ length: numLayers }, (_, i) => ({
      attend: (heads, look) => this.attend(i, heads, look),
      append: (heads) => this.append(i, heads),
    }));
  }

  /** `attend` of the layers. */
  protected abstract attend(layer: number, heads: NewHeads, look: CachedLook): Tensor;
  /** `append` of the layers. */
  protected abstract append(layer: number, heads: Omit<NewHeads, "q">): CachedKeys;

  /** Whether this call is the first and has something to see: it needs no cache to look at. */
  protected isWhole(count: number): boolean {
    return this.length === 0 && count > 1;
  }
}

export type Decoding = Parameters<typeof decodeAttention>[0];

/** Attention of queries over a cache of which they may see `reach` positions, as the layer looks. */
export function decode(
  inputs: Omit<Decoding, "bias">,
  { scale, softcap, window, ...look }: CachedLook,
  reach: number,
  ring = false,
): Tensor {
  const seen = window > 0 ? Math.min(window, reach) : reach;
  return decodeAttention({ ...inputs, bias: look.bias(Math.max(seen, 1) - 1) }, { scale, softcap, window, ring });
}
