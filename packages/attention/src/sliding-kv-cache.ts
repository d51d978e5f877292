import { expectCounts } from "@x/nn";
import { writeRows } from "@x/ops";
import { full, State, Tensor, TensorError } from "@x/tensor";
import { AttentionCache, type CachedHeads, decode } from "./attention-cache.ts";
import type { CachedKeys, CachedLook, NewHeads } from "./layer-cache.ts";

export interface SlidingKvCacheOptions extends CachedHeads {
  readonly batch: number;
  /** Positions that are kept: what a query of any layer sees, itself included. */
  readonly window: number;
  /** Positions that may come, padding included; no limit if absent. Memory does not depend on it. */
  readonly capacity?: number;
}

/**
 * Keys and values of the last `window` positions, [batch, numKvHeads, window, headDim] per layer: position j lies at j mod window, so a step writes over what no query sees any more. For layers
 * that look through a sliding window. Beltagy et al. 2020, arXiv 2004.05150; Jiang et al. 2023, arXiv 2310.06825, section 2.
 */
export class SlidingKvCache extends AttentionCache {
  readonly capacity: number;
  readonly window: number;
  readonly #options: SlidingKvCacheOptions;
  readonly #keys: readonly State[];
  readonly #values: readonly State[];
  /** The most positions that were filled since the start: what lies `window` before was written over. */
  #farthest = 0;

  constructor(options: SlidingKvCacheOptions) {
    const { batch, window, numLayers, numKvHeads, headDim, valueDim = headDim, dtype = "f32", device } = options;
    const { capacity = Number.POSITIVE_INFINITY } = options;
    const limit = Number.isFinite(capacity) ? { capacity } : {};
    expectCounts("SlidingKvCache", { batch, window, numLayers, numKvHeads, headDim, valueDim, ...limit });
    super(options);
    this.#options = options;
    this.window = window;
    this.capacity = capacity;
    const place = (dim: number) => new State({ shape: [batch, numKvHeads, window, dim], dtype, device });
    this.#keys = Array.from({ length: numLayers }, () => place(headDim));
    this.#values = Array.from({ length: numLayers }, () => place(valueDim));
  }

  override counted(count: number): void {
    super.counted(count);
    this.#farthest = Math.max(this.#farthest, this.length);
  }

  /** Only as far back as what the next query sees is still there; or to the beginning, by `reset`. */
  override truncate(length: number): void {
    if (length < this.#farthest - 1 && this.#farthest > this.window)
      throw new TensorError(
        `SlidingKvCache.truncate: ${length} positions need what came before them, but of the ${this.#farthest} that were filled the last ${this.window} are kept. Reset the cache and begin again, or use a KvCache.`,
      );
    super.truncate(length);
  }

  override reset(padding?: ArrayLike<number>): void {
    super.reset(padding);
    this.#farthest = 0;
  }

  protected append(layer: number): CachedKeys {
    return this.#refuse(layer, "all");
  }

  #refuse(layer: number, sees: number | string): never {
    throw new TensorError(
      `SlidingKvCache: ${this.window} positions are kept, but layer ${layer} looks at ${sees} of them. Give it pattern: window(${this.window - 1}), or make the cache with a larger window.`,
    );
  }

  protected attend(layer: number, { q, k, v }: NewHeads, look: CachedLook): Tensor {
    if (look.window === 0 || look.window > this.window) this.#refuse(layer, look.window || "all");
    const count = q.shape[2]!;
    const [keys, values] = [this.#keys[layer]!, this.#values[layer]!];
    const write = () => {
      keys.set(writeRows({ cache: keys, x: k, starts: this.lengths }, { ring: true }));
      values.set(writeRows({ cache: values, x: v, starts: this.lengths }, { ring: true }));
    };
    if (this.isWhole(count)) {
      write();
      return look.whole({ q, k, v }, this.present(this.first(count)));
    }
    if (count === 1) {
      write();
      return this.#step(q, keys, values, look);
    }
    // A chunk that was written first would write over what its first queries still see.
    const o = this.#chunk({ q, k, v }, keys, values, look);
    write();
    return o;
  }

  /** One query over the ring as it lies. */
  #step(q: Tensor, k: State, v: State, look: CachedLook): Tensor {
    const behind = this.lengths.value.unsqueeze(1).sub(this.first(this.window));
    // The position at each place; one that holds nothing yet lies after the length, where nothing is seen.
    const held = this.lengths.value.unsqueeze(1).sub(behind.ge(0).where(behind.mod(this.window), behind));
    return decode({ q, k, v, lengths: this.lengths.value.add(1), keyMask: this.present(held) }, look, this.window, true);
  }

  /** Several queries over what is kept, put in order, and the new keys behind it. */
  #chunk({ q, k, v }: NewHeads, keys: State, values: State, look: CachedLook): Tensor {
    const [window, count] = [this.window, q.shape[2]!];
    const start = this.lengths.value.unsqueeze(1);
    const places = start.add(this.first(window)).mod(window).reshape([this.batch, 1, window, 1]);
    const positions = start.sub(window).add(this.first(window + count));
    const filled = positions.ge(0);
    const old = filled.slice(1, 0, window).reshape([this.batch, 1, window, 1]);
    const join = (cache: State, x: Tensor): Tensor => {
      const kept = cache.value.gather(places.expand(cache.shape), 2);
      return Tensor.concat([old.where(kept, 0), x], 2);
    };
    const present = this.present(positions);
    const lengths = full([this.batch], window + count, { dtype: "i32", device: start.device });
    const keyMask = present ? filled.and(present) : filled;
    return decode({ q, k: join(keys, k), v: join(values, v), lengths, keyMask }, look, window);
  }

  protected like(batch: number): this {
    return new SlidingKvCache({ ...this.#options, batch }) as this;
  }

  protected override follow(other: this): void {
    super.follow(other);
    this.#farthest = other.#farthest;
  }

  protected cells(): State[] {
    return [...this.#keys, ...this.#values];
  }
}
