import { expectCounts } from "@x/nn";
import { writeRows } from "@x/ops";
import { State } from "@x/tensor";
import type { CachedHeads } from "./attention-cache.ts";
import type { NewHeads } from "./layer-cache.ts";
import { OrderedCache } from "./ordered-cache.ts";

export interface KvCacheOptions extends CachedHeads {
  readonly batch: number;
  /** Positions there is room for, padding included. */
  readonly capacity: number;
}

/** Keys and values of a batch in one contiguous piece per layer, [batch, numKvHeads, capacity, headDim]. */
export class KvCache extends OrderedCache {
  readonly capacity: number;
  readonly #options: KvCacheOptions;
  readonly #keys: readonly State[];
  readonly #values: readonly State[];

  constructor(options: KvCacheOptions) {
    const { batch, capacity, numLayers, numKvHeads, headDim, valueDim = headDim, dtype = "f32", device } = options;
    expectCounts("KvCache", { batch, capacity, numLayers, numKvHeads, headDim, valueDim });
    super(options);
    this.#options = options;
    this.capacity = capacity;
    const place = (dim: number) => new State({ shape: [batch, numKvHeads, capacity, dim], dtype, device });
    this.#keys = Array.from({ length: numLayers }, () => place(headDim));
    this.#values = Array.from({ length: numLayers }, () => place(valueDim));
  }

  protected write(layer: number, { k, v }: Omit<NewHeads, "q">): void {
    const { k: keys, v: values } = this.kept(layer);
    keys.set(writeRows({ cache: keys, x: k, starts: this.lengths }));
    values.set(writeRows({ cache: values, x: v, starts: this.lengths }));
  }

  protected kept(layer: number) {
    return { k: this.#keys[layer]!, v: this.#values[layer]! };
  }

  protected read(layer: number) {
    return { k: this.#keys[layer]!.value, v: this.#values[layer]!.value };
  }

  protected like(batch: number): this {
    return new KvCache({ ...this.#options, batch }) as this;
  }

  protected cells(): State[] {
    return [...this.#keys, ...this.#values];
  }
}
