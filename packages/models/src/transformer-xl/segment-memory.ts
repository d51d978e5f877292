import { nextMemory } from "@x/attention";
import { expectCounts, type ModelState, paddingCounts, rowIndices, sameRowIndices } from "@x/nn";
import { arange, type Device, isTracing, noGrad, type Shape, ShapeError, State, scope, Tensor, TensorError, zeros } from "@x/tensor";

export interface SegmentMemoryOptions {
  readonly batch: number;
  /** Positions that may come, padding included; no limit if absent. */
  readonly capacity?: number;
  readonly numLayers: number;
  readonly dim: number;
  /** Positions that are remembered; with 0 none are. */
  readonly memoryLength: number;
  /** What stands before the first token: nothing, or `memoryLength` zeros that are seen. */
  readonly initMemory: "empty" | "zeros";
  readonly device?: Device | undefined;
}

/**
 * What entered each layer at the last `memoryLength` positions, [batch, memoryLength, dim] per layer, the latest last; it takes no gradient. Which positions hold something is told by cells, so no shape changes as it fills. Rows may be
 * padded on the left: padding is never seen. It goes on for ever, in training from batch to batch, and writing a text token by token. Dai et al. 2019, arXiv 1901.02860, section 3.2.
 */
export class SegmentMemory implements ModelState {
  readonly batch: number;
  readonly capacity: number;
  /** Positions that are kept: no more than can come, unless zeros stand before them. */
  readonly slots: number;
  /** Positions filled, padding included, by the host's count. */
  length = 0;
  readonly #options: SegmentMemoryOptions;
  readonly #layers: readonly State[];
  /** i32 [batch]: positions filled, padding included, and how many of them are padding. */
  readonly #lengths: State;
  readonly #padding: State;
  /** No row has more padding than this. */
  #mostPadding = 0;

  constructor(options: SegmentMemoryOptions) {
    const { batch, capacity = Number.POSITIVE_INFINITY, numLayers, dim, memoryLength, initMemory, device } = options;
    expectCounts("SegmentMemory", { batch, numLayers, dim, ...(Number.isFinite(capacity) && { capacity }) });
    this.#options = options;
    this.batch = batch;
    this.capacity = capacity;
    this.slots = initMemory === "zeros" ? memoryLength : Math.min(memoryLength, capacity);
    this.#layers =
      this.slots === 0 ? [] : Array.from({ length: numLayers }, () => new State({ shape: [batch, this.slots, dim], dtype: "f32", device }));
    this.#lengths = new State({ shape: [batch], dtype: "i32", device });
    this.#padding = new State({ shape: [batch], dtype: "i32", device });
  }

  /** Refuses tokens [batch, count] that do not fit, before anything is written. */
  checkRoom([batch, count]: Shape): void {
    if (batch !== this.batch)
      throw new ShapeError(
        `SegmentMemory: tokens are [${batch}, ${count}], but the state has ${this.batch} rows. Make or select a state of ${batch}.`,
      );
    if (this.length + count! > this.capacity)
      throw new ShapeError(
        `SegmentMemory: ${count} more positions do not fit: ${this.length} of ${this.capacity} are filled. Make the state with a larger capacity, or without one.`,
      );
  }

  /** [batch, slots, dim]: what a layer remembers. */
  memory(layer: number): Tensor | undefined {
    return this.#layers[layer]?.value;
  }

  /** bool [batch, slots + count]: what may be seen of the memory and of `count` new positions; undefined: everything. */
  keyMask(count: number): Tensor | undefined {
    const zeros = this.#options.initMemory === "zeros";
    if (zeros && this.#mostPadding === 0) return undefined;
    // Of the zeros as many are seen as a row without padding would see.
    const first = zeros ? this.#padding.value.sub(this.slots) : this.#padding.value;
    return this.#positions(-this.slots, count).ge(first.unsqueeze(1));
  }

  /** x [batch, count, dim] that enters a layer, where padding stands for the zeros before the first token. */
  entering(x: Tensor): Tensor {
    if (this.#options.initMemory === "empty" || this.#mostPadding === 0) return x;
    const real = this.#positions(0, x.shape[1]!).ge(this.#padding.value.unsqueeze(1));
    return real.unsqueeze(-1).expand(x.shape).where(x, 0);
  }

  /** Remembers what entered each layer, once a forward, without gradient. A compiled step counts on the device only: call `counted` beside it. */
  advance(inputs: readonly Tensor[]): void {
    const count = inputs[0]!.shape[1]!;
    noGrad(() => {
      for (const [i, cell] of this.#layers.entries()) cell.set(nextMemory(cell.value, inputs[i]!.cast(cell.dtype), this.slots));
      this.#lengths.set(this.#lengths.value.add(count));
    });
    if (!isTracing()) this.length += count;
  }

  counted(count: number): void {
    this.length += count;
  }

  fork(): SegmentMemory {
    return this.select(Array.from({ length: this.batch }, (_, row) => row));
  }

  gather(rows: Tensor | ArrayLike<number>): void {
    scope(() => {
      const index = sameRowIndices("SegmentMemory", rows, this.#place());
      for (const cell of this.#cells()) cell.set(cell.value.take(index, 0));
    });
  }

  select(rows: readonly number[]): SegmentMemory {
    return scope(() => {
      const index = rowIndices("SegmentMemory.select", rows, this.#place());
      const copy = new SegmentMemory({ ...this.#options, batch: rows.length });
      for (const [i, cell] of this.#cells().entries()) copy.#cells()[i]!.set(cell.value.take(index, 0));
      copy.length = this.length;
      copy.#mostPadding = this.#mostPadding;
      return copy;
    });
  }

  /** To the beginning, or as long as nothing has been forgotten: what fell out of the memory does not come back. */
  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.length)
      throw new TensorError(`SegmentMemory.truncate: length must be from 0 to the ${this.length} positions filled, got ${length}.`);
    if (length > 0 && length < this.length && this.length > this.slots)
      throw new TensorError(
        `SegmentMemory.truncate: ${length} positions need what came before them, but of the ${this.length} that were filled the last ${this.slots} are kept. Fork the state where you may want to come back to, or reset it.`,
      );
    const back = Math.min(this.length - length, this.slots);
    if (back > 0)
      scope(() => {
        for (const cell of this.#layers) {
          const [batch, slots, dim] = cell.shape as [number, number, number];
          const before = zeros([batch, back, dim], { device: cell.device });
          cell.set(Tensor.concat([before, cell.value.slice(1, 0, slots - back)], 1));
        }
      });
    this.#lengths.write(new Int32Array(this.batch).fill(length));
    this.length = length;
  }

  reset(padding: ArrayLike<number> = new Int32Array(this.batch)): void {
    const counts = paddingCounts("SegmentMemory", padding, this);
    this.#padding.write(counts);
    this.#mostPadding = Math.max(...counts);
    this.truncate(0);
  }

  dispose(): void {
    for (const cell of this.#cells()) cell.dispose();
  }

  /** i32 [batch, ...]: the next `count` positions, and those from `from` before them on. */
  #positions(from: number, count: number): Tensor {
    return this.#lengths.value.unsqueeze(1).add(arange(count - from, { device: this.#lengths.device }).add(from));
  }

  #place() {
    return { batch: this.batch, device: this.#lengths.device };
  }

  #cells(): State[] {
    return [...this.#layers, this.#lengths, this.#padding];
  }
}
