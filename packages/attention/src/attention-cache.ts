import { expectCounts, type ModelState, paddingCounts, rowIndices, sameRowIndices } from "@x/nn";
import { decodeAttention } from "@x/ops";
import {
  arange,
  type Device,
  type DType,
  dtypes,
  isTracing,
  type Shape,
  ShapeError,
  State,
  scope,
  sizeOf,
  type Tensor,
  TensorError,
} from "@x/tensor";
import type { CachedLook, LayerCache } from "./layer-cache.ts";

/** The heads of a model whose keys and values are cached. */
export interface CachedHeads {
  readonly numLayers: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly valueDim?: number;
  readonly dtype?: DType;
  readonly device?: Device | undefined;
}

/**
 * What all caches of keys and values share: rows of one length that may be padded on the left, and their counts. Lengths and paddings are cells, so a growing cache changes no shape; what is padded
 * is never seen, and positions count without it.
 */
export abstract class AttentionCache implements ModelState {
  readonly batch: number;
  /** i32 [batch]: positions filled, padding included. */
  readonly lengths: State;
  /** i32 [batch]: how many of them are padding, at the left. */
  readonly padding: State;
  /** The host's count of filled positions, the same for every row. */
  length = 0;
  /** No row has more padding than this. */
  #mostPadding = 0;
  /** Positions there is room for, padding included. */
  abstract readonly capacity: number;
  abstract readonly layers: readonly LayerCache[];
  /** Memory of the keys and values. */
  abstract readonly bytes: number;

  constructor(batch: number, device: Device | undefined) {
    expectCounts(new.target.name, { batch });
    this.batch = batch;
    this.lengths = new State({ shape: [batch], dtype: "i32", device });
    this.padding = new State({ shape: [batch], dtype: "i32", device });
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
    const who = this.constructor.name;
    const [batch, count] = shape as [number, number];
    if (batch !== this.batch)
      throw new ShapeError(
        `${who}: tokens are [${batch}, ${count}], but the state has ${this.batch} rows. Make or select a state of ${batch}.`,
      );
    if (this.length + count > this.capacity)
      throw new ShapeError(
        `${who}: ${count} more positions do not fit: ${this.length} of ${this.capacity} are filled. Make the state with a larger capacity.`,
      );
    if (this.length - this.#mostPadding + count > maxLength)
      throw new ShapeError(
        `${who}: ${count} positions after ${this.length - this.#mostPadding} pass the model's maxLength ${maxLength} in every row. Reset the state, or truncate it.`,
      );
  }

  /** Counts the positions that all layers have written, once a forward. A compiled step counts on the device only: call `counted` beside it. */
  advance(count: number): void {
    this.lengths.set(this.lengths.value.add(count));
    if (!isTracing()) this.counted(count);
  }

  /** Tells the host that a compiled step advanced. */
  counted(count: number): void {
    this.length += count;
  }

  fork(): this {
    const copy = this.like(this.batch);
    for (const [i, cell] of this.#all().entries()) copy.#all()[i]!.set(cell);
    copy.follow(this);
    return copy;
  }

  /** Rows in another order, by their numbers: i32 [batch]. */
  gather(rows: Tensor | ArrayLike<number>): void {
    scope(() => {
      const index = sameRowIndices(this.constructor.name, rows, this.#place());
      for (const cell of this.#all()) cell.set(cell.value.take(index, 0));
    });
  }

  /** A cache of other rows, in any number: prompts repeated for beams. */
  select(rows: readonly number[]): this {
    return scope(() => {
      const index = rowIndices(`${this.constructor.name}.select`, rows, this.#place());
      const copy = this.like(rows.length);
      for (const [i, cell] of this.#all().entries()) copy.#all()[i]!.set(cell.value.take(index, 0));
      copy.follow(this);
      return copy;
    });
  }

  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.length)
      throw new TensorError(
        `${this.constructor.name}.truncate: length must be from 0 to the ${this.length} positions filled, got ${length}.`,
      );
    this.lengths.write(new Int32Array(this.batch).fill(length));
    this.length = length;
  }

  reset(padding: ArrayLike<number> = new Int32Array(this.batch)): void {
    const counts = paddingCounts(this.constructor.name, padding, this);
    this.padding.write(counts);
    this.#mostPadding = Math.max(...counts);
    this.length = 0;
    this.lengths.write(new Int32Array(this.batch));
  }

  dispose(): void {
    for (const cell of this.#all()) cell.dispose();
  }

  /** An empty cache of another number of rows. */
  protected abstract like(batch: number): this;
  /** Cells whose first axis is the batch, beside lengths and padding, in one order. */
  protected abstract cells(): readonly State[];

  /** Takes over what the host knows of another cache. */
  protected follow(other: this): void {
    this.length = other.length;
    this.#mostPadding = other.#mostPadding;
  }

  /** Whether this call is the first and has something to see: it needs no cache to look at. */
  protected isWhole(count: number): boolean {
    return this.length === 0 && count > 1;
  }

  /** True where a position, broadcastable to [batch, n], is no padding; undefined where there is none. */
  protected present(positions: Tensor): Tensor | undefined {
    return this.#mostPadding > 0 ? positions.ge(this.padding.value.unsqueeze(1)) : undefined;
  }

  /** The first `count` positions. */
  protected first(count: number): Tensor {
    return arange(count, { device: this.lengths.device });
  }

  #place() {
    return { batch: this.batch, device: this.lengths.device };
  }

  #all(): State[] {
    return [...this.cells(), this.lengths, this.padding];
  }
}

type Decoding = Parameters<typeof decodeAttention>[0];

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

/** The memory of cells. */
export const bytesOf = (cells: readonly State[]): number =>
  cells.reduce((bytes, { shape, dtype }) => bytes + sizeOf(shape) * dtypes[dtype].bytes, 0);
