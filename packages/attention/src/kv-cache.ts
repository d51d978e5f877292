import { expectCounts } from "@x/nn";
import { writeRows } from "@x/ops";
import { State, type Tensor } from "@x/tensor";
import { AttentionCache, type CachedHeads, decode } from "./attention-cache.ts";
import type { CachedLook, LayerCache, NewHeads } from "./layer-cache.ts";

export interface KvCacheOptions extends CachedHeads {
  readonly batch: number;
  /** Positions there is room for, padding included. */
  readonly capacity: number;
}

/** Keys and values of a batch in one contiguous piece per layer, [batch, numKvHeads, capacity, headDim]. */
export class KvCache extends AttentionCache {
  readonly capacity: number;
  readonly layers: readonly LayerCache[];
  readonly #options: KvCacheOptions;
  readonly #keys: readonly State[];
  readonly #values: readonly State[];

  constructor(options: KvCacheOptions) {
    const { batch, capacity, numLayers, numKvHeads, headDim, valueDim = headDim, dtype = "f32", device } = options;
    expectCounts("KvCache", { batch, capacity, numLayers, numKvHeads, headDim, valueDim });
    super(batch, device);
    this.#options = options;
    this.capacity = capacity;
    const place = (dim: number) => new State({ shape: [batch, numKvHeads, capacity, dim], dtype, device });
    this.#keys = Array.from({ length: numLayers }, () => place(headDim));
    this.#values = Array.from({ length: numLayers }, () => place(valueDim));
    this.layers = this.#keys.map((_, i) => ({ attend: (heads, look) => this.#attend(i, heads, look) }));
  }

  #attend(layer: number, { q, k, v }: NewHeads, look: CachedLook): Tensor {
    const count = q.shape[2]!;
    const [keys, values] = [this.#keys[layer]!, this.#values[layer]!];
    keys.set(writeRows({ cache: keys, x: k, starts: this.lengths }));
    values.set(writeRows({ cache: values, x: v, starts: this.lengths }));
    if (this.isWhole(count)) return look.whole({ q, k, v }, this.present(this.first(count)));
    const keyMask = this.present(this.first(this.capacity));
    return decode({ q, k: keys, v: values, lengths: this.lengths.value.add(count), keyMask }, look, this.capacity);
  }

  protected like(batch: number): this {
    return new KvCache({ ...this.#options, batch }) as this;
  }

  protected cells(): State[] {
    return [...this.#keys, ...this.#values];
  }
}
