import { expectCounts, type ModelState } from "@x/nn";
import { attention, decodeAttention, writeRows } from "@x/ops";
import {
  arange,
  type Device,
  type DType,
  isTracing,
  type Shape,
  ShapeError,
  State,
  scope,
  type Tensor,
  TensorError,
  tensor,
} from "@x/tensor";

/** What one attention layer reads and writes while generating. */
export interface LayerCache {
  /** Writes the new keys and values, and attends to everything up to them: q [batch, H, n, D], k and v [batch, G, n, D] -> [batch, H, n, Dv]. */
  attend(q: Tensor, k: Tensor, v: Tensor, scale: number): Tensor;
}

export interface KvCacheOptions {
  readonly batch: number;
  /** Positions there is room for, padding included. */
  readonly capacity: number;
  readonly numLayers: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly valueDim?: number;
  readonly dtype?: DType;
  readonly device?: Device | undefined;
}

/**
 * Keys and values of a batch in one contiguous piece per layer, [batch, numKvHeads, capacity, headDim]. Lengths and paddings are cells, so a growing cache changes no
 * shape. Rows may be padded on the left: what is padded is never seen, and positions count without it.
 */
export class KvCache implements ModelState {
  readonly batch: number;
  readonly capacity: number;
  readonly layers: readonly LayerCache[];
  readonly #options: KvCacheOptions;
  readonly #keys: readonly State[];
  readonly #values: readonly State[];
  /** i32 [batch]: positions filled, padding included. */
  readonly lengths: State;
  /** i32 [batch]: how many of them are padding, at the left. */
  readonly padding: State;
  /** The host's count of filled positions, the same for every row. */
  length = 0;
  /** No row has more padding than this. */
  #mostPadding = 0;

  constructor(options: KvCacheOptions) {
    const { batch, capacity, numLayers, numKvHeads, headDim, valueDim = headDim, dtype = "f32", device } = options;
    expectCounts("KvCache", { batch, capacity, numLayers, numKvHeads, headDim, valueDim });
    this.#options = options;
    this.batch = batch;
    this.capacity = capacity;
    const place = (dim: number) => new State({ shape: [batch, numKvHeads, capacity, dim], dtype, device });
    this.#keys = Array.from({ length: numLayers }, () => place(headDim));
    this.#values = Array.from({ length: numLayers }, () => place(valueDim));
    this.lengths = new State({ shape: [batch], dtype: "i32", device });
    this.padding = new State({ shape: [batch], dtype: "i32", device });
    this.layers = this.#keys.map((_, i) => ({ attend: (q, k, v, scale) => this.#attend(i, q, k, v, scale) }));
  }

  /** Positions of the next `count` tokens, i32 [batch, count], counted without padding (0 within it). */
  positions(count: number): Tensor {
    const start = this.lengths.value.sub(this.padding).reshape([this.batch, 1]);
    return start.add(arange(count, { device: this.lengths.device })).maximum(0);
  }

  /**
   * Refuses tokens [batch, count] that do not fit, before anything is written. With `maxLength` also those that lie beyond it in every row: a row that has ended may be
   * stepped along with others, but one must have room.
   */
  checkRoom(shape: Shape, maxLength = Number.POSITIVE_INFINITY): void {
    const [batch, count] = shape as [number, number];
    if (batch !== this.batch)
      throw new ShapeError(
        `KvCache: tokens are [${batch}, ${count}], but the state has ${this.batch} rows. Make or select a state of ${batch}.`,
      );
    if (this.length + count > this.capacity)
      throw new ShapeError(
        `KvCache: ${count} more positions do not fit: ${this.length} of ${this.capacity} are filled. Make the state with a larger capacity.`,
      );
    if (this.length - this.#mostPadding + count > maxLength)
      throw new ShapeError(
        `KvCache: ${count} positions after ${this.length - this.#mostPadding} pass the model's maxLength ${maxLength} in every row. Reset the state, or truncate it.`,
      );
  }

  #attend(layer: number, q: Tensor, k: Tensor, v: Tensor, scale: number): Tensor {
    const count = q.shape[2]!;
    const [keys, values] = [this.#keys[layer]!, this.#values[layer]!];
    keys.set(writeRows({ cache: keys, x: k, starts: this.lengths }));
    values.set(writeRows({ cache: values, x: v, starts: this.lengths }));
    const { device } = this.lengths;
    // The first call sees nothing but itself: dense causal attention, with no cache to read.
    if (this.length === 0 && count > 1) {
      const keyMask = this.#mostPadding > 0 ? arange(count, { device }).ge(this.padding.value.unsqueeze(1)) : undefined;
      return attention({ q, k, v, keyMask }, { scale, causal: true });
    }
    const keyMask = this.#mostPadding > 0 ? arange(this.capacity, { device }).ge(this.padding.value.unsqueeze(1)) : undefined;
    return decodeAttention({ q, k: keys, v: values, lengths: this.lengths.value.add(count), keyMask }, { scale });
  }

  /** Counts the positions that all layers have written, once a forward. A compiled step counts on the device only: call `counted` beside it. */
  advance(count: number): void {
    this.lengths.set(this.lengths.value.add(count));
    if (!isTracing()) this.length += count;
  }

  /** Tells the host that a compiled step advanced. */
  counted(count: number): void {
    this.length += count;
  }

  fork(): KvCache {
    const copy = new KvCache(this.#options);
    for (const [i, cell] of this.#cells().entries()) copy.#cells()[i]!.set(cell);
    copy.length = this.length;
    copy.#mostPadding = this.#mostPadding;
    return copy;
  }

  gather(rows: Tensor): void {
    if (rows.shape.length !== 1 || rows.shape[0] !== this.batch)
      throw new ShapeError(
        `KvCache.gather: rows must be i32 [${this.batch}], got [${rows.shape.join(", ")}]. Fork into a state of another batch with KvCache.select.`,
      );
    scope(() => {
      for (const cell of this.#cells()) cell.set(cell.value.take(rows, 0));
    });
  }

  /** A cache of other rows, in any number: prompts repeated for beams. */
  select(rows: readonly number[]): KvCache {
    const wrong = rows.find((row) => !Number.isInteger(row) || row < 0 || row >= this.batch);
    if (wrong !== undefined) throw new ShapeError(`KvCache.select: rows must be from 0 to ${this.batch - 1}, got ${wrong}.`);
    const copy = new KvCache({ ...this.#options, batch: rows.length });
    scope(() => {
      const index = tensor(Int32Array.from(rows), { device: this.lengths.device });
      for (const [i, cell] of this.#cells().entries()) copy.#cells()[i]!.set(cell.value.take(index, 0));
    });
    copy.length = this.length;
    copy.#mostPadding = this.#mostPadding;
    return copy;
  }

  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.length)
      throw new TensorError(`KvCache.truncate: length must be from 0 to the ${this.length} positions filled, got ${length}.`);
    this.lengths.write(new Int32Array(this.batch).fill(length));
    this.length = length;
  }

  reset(padding: ArrayLike<number> = new Int32Array(this.batch)): void {
    const counts = Array.from(padding);
    if (counts.length !== this.batch || !counts.every((count) => Number.isInteger(count) && count >= 0 && count <= this.capacity))
      throw new ShapeError(
        `KvCache.reset: padding must be ${this.batch} counts from 0 to the capacity ${this.capacity}, one a row, got [${counts.join(", ")}].`,
      );
    this.padding.write(counts);
    this.#mostPadding = Math.max(...counts);
    this.length = 0;
    this.lengths.write(new Int32Array(this.batch));
  }

  dispose(): void {
    for (const cell of this.#cells()) cell.dispose();
  }

  #cells(): State[] {
    return [...this.#keys, ...this.#values, this.lengths, this.padding];
  }
}
