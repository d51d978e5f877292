import { arange, type Device, dtypes, isTracing, type Shape, ShapeError, State, scope, sizeOf, type Tensor, TensorError } from "@x/tensor";
import type { ModelState } from "./causal-lm.ts";
import { expectCounts } from "./expect.ts";
import { paddingCounts, rowIndices, sameRowIndices } from "./row-indices.ts";

/**
 * What the states of causal models share: a batch of sequences of one length, padded on the left where they are shorter, and cells whose first axis is the batch. So rows can be copied, reordered and selected without knowing what a
 * cell means, and a state says only what it keeps (`cells`), how another of its kind is made (`like`), and what forgetting asks of it (`forget`). Lengths and paddings are cells too: a sequence that grows changes no shape.
 */
export abstract class SequenceState implements ModelState {
  readonly batch: number;
  /** i32 [batch]: positions filled, padding included. */
  readonly lengths: State;
  /** i32 [batch]: how many of them are padding, at the left. */
  readonly padding: State;
  /** The host's count of filled positions, the same for every row. */
  length = 0;
  /** No row has more padding than this. */
  #mostPadding = 0;
  /** Positions there is room for, padding included; Infinity where memory does not grow with them. */
  abstract readonly capacity: number;

  constructor(batch: number, device: Device | undefined) {
    expectCounts(new.target.name, { batch });
    this.batch = batch;
    this.lengths = new State({ shape: [batch], dtype: "i32", device });
    this.padding = new State({ shape: [batch], dtype: "i32", device });
  }

  /** Memory of what is kept. */
  get bytes(): number {
    return bytesOf(this.cells());
  }

  /** Positions of the next `count` tokens, i32 [batch, count], counted without padding (0 within it). */
  positions(count: number): Tensor {
    const start = this.lengths.value.sub(this.padding).reshape([this.batch, 1]);
    return start.add(this.first(count)).maximum(0);
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
    const longest = this.length - this.#mostPadding;
    if (longest + count > maxLength)
      throw new ShapeError(
        `${who}: ${count} positions after ${longest} pass the model's maxLength ${maxLength} in every row. Reset the state, or go back to an earlier one.`,
      );
  }

  /** Counts the positions that all layers have taken in, once a forward. A compiled step counts on the device only: call `counted` beside it. */
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
    const targets = copy.#all();
    for (const [i, cell] of this.#all().entries()) targets[i]!.set(cell);
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

  /** A state of other rows, in any number: prompts repeated for beams. */
  select(rows: readonly number[]): this {
    return scope(() => {
      const index = rowIndices(`${this.constructor.name}.select`, rows, this.#place());
      const copy = this.like(rows.length);
      const targets = copy.#all();
      for (const [i, cell] of this.#all().entries()) targets[i]!.set(cell.value.take(index, 0));
      copy.follow(this);
      return copy;
    });
  }

  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.length)
      throw new TensorError(
        `${this.constructor.name}.truncate: length must be from 0 to the ${this.length} positions filled, got ${length}.`,
      );
    if (length === this.length) return;
    this.forget(length);
    this.#fill(length);
  }

  reset(padding: ArrayLike<number> = new Int32Array(this.batch)): void {
    const counts = paddingCounts(this.constructor.name, padding, this);
    this.padding.write(counts);
    this.#mostPadding = Math.max(...counts);
    this.forget(0);
    this.#fill(0);
  }

  dispose(): void {
    for (const cell of this.#all()) cell.dispose();
  }

  /** An empty state of another number of rows. */
  protected abstract like(batch: number): this;
  /** Cells whose first axis is the batch, beside lengths and padding, in one order. */
  protected abstract cells(): readonly State[];

  /** Goes back to the first `length` positions, fewer than there are, or to none; refused, before anything is written, where they are no longer known. Where what lies beyond the length is never seen there is nothing to do. */
  protected forget(_length: number): void {}

  /** Takes over what the host knows of another state. */
  protected follow(other: this): void {
    this.length = other.length;
    this.#mostPadding = other.#mostPadding;
  }

  /** Some row may be padded. */
  protected get isPadded(): boolean {
    return this.#mostPadding > 0;
  }

  /** True where a position, broadcastable to [batch, n], is no padding; undefined where there is none. */
  protected present(positions: Tensor): Tensor | undefined {
    return this.isPadded ? positions.ge(this.padding.value.unsqueeze(1)) : undefined;
  }

  /** The first `count` positions, i32 [count]. */
  protected first(count: number): Tensor {
    return arange(count, { device: this.lengths.device });
  }

  /** The next `count` positions and the `before` that precede them, padding included: i32 [batch, before + count]. */
  protected next(count: number, before = 0): Tensor {
    return this.lengths.value.unsqueeze(1).add(this.first(before + count).sub(before));
  }

  #fill(length: number): void {
    this.lengths.write(new Int32Array(this.batch).fill(length));
    this.length = length;
  }

  #place() {
    return { batch: this.batch, device: this.lengths.device };
  }

  #all(): State[] {
    return [...this.cells(), this.lengths, this.padding];
  }
}

/** The memory of cells. */
export const bytesOf = (cells: readonly State[]): number =>
  cells.reduce((bytes, { shape, dtype }) => bytes + sizeOf(shape) * dtypes[dtype].bytes, 0);
