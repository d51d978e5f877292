import { expectCounts, type ModelState, paddingCounts, rowIndices, sameRowIndices } from "@x/nn";
import {
  arange,
  type Device,
  dtypes,
  full,
  isTracing,
  type Shape,
  ShapeError,
  State,
  scope,
  sizeOf,
  type Tensor,
  TensorError,
  zeros,
} from "@x/tensor";
import type { Carried } from "./causal-sums.ts";
import { afterRecent, type LocalInputs } from "./local.ts";
import { nothing } from "./prefix.ts";

/** What a layer has to remember, as it says itself. */
export interface LinearStateShape {
  /** Heads of keys and values that are attended to as a whole. */
  readonly kvHeads: number;
  readonly headDim: number;
  readonly featureDim: number;
  /** Keys have a logScale, and beside it a floor. */
  readonly scaled: boolean;
  readonly floored: boolean;
  /** Heads of keys and values with a window, and how far back it reaches. */
  readonly localKvHeads: number;
  readonly localWindow: number;
}

/** What one layer reads and writes while generating. */
export interface LinearLayerCache {
  /** What it was made for. */
  readonly shape: LinearStateShape;
  /** Of `count` new positions, bool [batch, count], those that are no padding; undefined: all. */
  keyMask(count: number): Tensor | undefined;
  /** What all positions so far add up to. */
  carried(): Carried;
  carry(next: Carried): void;
  /** New keys and values of local heads behind those that the window can still see. */
  recent(inputs: Pick<LocalInputs, "k" | "v">): Omit<LocalInputs, "q">;
}

export interface LinearStateOptions {
  readonly batch: number;
  /** The state does not grow; a limit of positions for whoever plans with one. */
  readonly capacity?: number;
  /** The layers that it serves, in order. */
  readonly layers: readonly { readonly stateShape: LinearStateShape }[];
  readonly device?: Device | undefined;
}

/** Cells of a layer by what they hold. */
type Cells = Readonly<Record<string, { readonly cell: State; readonly empty: number }>>;

/**
 * What linear attention remembers of a batch: sums of fixed size for each layer, in the place of a cache of keys and values, and the last window of local heads. Rows may be padded on the left. Sums do not say what
 * they were before a position came, so it cannot be truncated but to nothing: fork it where you may want to come back to.
 */
export class LinearState implements ModelState {
  readonly batch: number;
  readonly capacity: number;
  readonly layers: readonly LinearLayerCache[];
  /** i32 [batch]: positions filled, padding included. */
  readonly lengths: State;
  /** i32 [batch]: how many of them are padding, at the left. */
  readonly padding: State;
  /** The host's count of filled positions, the same for every row. */
  length = 0;
  /** No row has more padding than this. */
  #mostPadding = 0;
  readonly #options: LinearStateOptions;
  readonly #cells: readonly Cells[];

  constructor(options: LinearStateOptions) {
    const { batch, capacity = Number.POSITIVE_INFINITY, layers, device } = options;
    expectCounts("LinearState", { batch, ...(options.capacity !== undefined && { capacity }) });
    this.#options = { ...options, layers: layers.map(({ stateShape }) => ({ stateShape })) };
    this.batch = batch;
    this.capacity = capacity;
    this.lengths = new State({ shape: [batch], dtype: "i32", device });
    this.padding = new State({ shape: [batch], dtype: "i32", device });
    this.#cells = layers.map(({ stateShape }) => cellsOf(stateShape, batch, device));
    this.layers = layers.map(({ stateShape }, i) => this.#layer(stateShape, this.#cells[i]!));
  }

  /** Positions of the next `count` tokens, i32 [batch, count], counted without padding (0 within it). */
  positions(count: number): Tensor {
    const start = this.lengths.value.sub(this.padding).reshape([this.batch, 1]);
    return start.add(arange(count, { device: this.lengths.device })).maximum(0);
  }

  /** Refuses tokens [batch, count] that do not fit, before anything is written; with `maxLength` also those beyond it in every row. */
  checkRoom(shape: Shape, maxLength = Number.POSITIVE_INFINITY): void {
    const [batch, count] = shape as [number, number];
    if (batch !== this.batch)
      throw new ShapeError(
        `LinearState: tokens are [${batch}, ${count}], but the state has ${this.batch} rows. Make or select a state of ${batch}.`,
      );
    if (this.length + count > this.capacity)
      throw new ShapeError(
        `LinearState: ${count} more positions do not fit: ${this.length} of ${this.capacity} are filled. Make the state with a larger capacity.`,
      );
    if (this.length - this.#mostPadding + count > maxLength)
      throw new ShapeError(
        `LinearState: ${count} positions after ${this.length - this.#mostPadding} pass the model's maxLength ${maxLength} in every row. Reset the state.`,
      );
  }

  #layer(shape: LinearStateShape, cells: Cells): LinearLayerCache {
    const cellOf = (name: string) => cells[name]?.cell;
    return {
      shape,
      keyMask: (count) => {
        if (this.#mostPadding === 0) return undefined;
        const first = this.padding.value.sub(this.lengths.value).unsqueeze(1);
        return arange(count, { device: this.lengths.device }).ge(first);
      },
      carried: () => Object.fromEntries(carriedNames.map((name) => [name, cellOf(name)?.value])) as unknown as Carried,
      carry: (next) => {
        for (const name of carriedNames) cellOf(name)?.set(next[name]!);
      },
      recent: (inputs) => {
        const cells = { keys: cellOf("recentKeys")!, values: cellOf("recentValues")! };
        return afterRecent(cells, inputs, { lengths: this.lengths.value, padding: this.padding.value });
      },
    };
  }

  /** Counts the positions that all layers have taken in, once a forward. A compiled step counts on the device only: call `counted` beside it. */
  advance(count: number): void {
    this.lengths.set(this.lengths.value.add(count));
    if (!isTracing()) this.length += count;
  }

  /** Tells the host that a compiled step advanced. */
  counted(count: number): void {
    this.length += count;
  }

  fork(): LinearState {
    return this.#copyTo(new LinearState(this.#options), (value) => value);
  }

  gather(rows: Tensor | ArrayLike<number>): void {
    scope(() => {
      const index = sameRowIndices("LinearState", rows, { batch: this.batch, device: this.lengths.device });
      for (const cell of this.#all()) cell.set(cell.value.take(index, 0));
    });
  }

  /** A state of other rows, in any number: prompts repeated for beams. */
  select(rows: readonly number[]): LinearState {
    const copy = new LinearState({ ...this.#options, batch: rows.length });
    return scope(() => {
      const index = rowIndices("LinearState.select", rows, { batch: this.batch, device: this.lengths.device });
      return this.#copyTo(copy, (value) => value.take(index, 0));
    });
  }

  truncate(length: number): void {
    if (length === this.length) return;
    if (length !== 0)
      throw new TensorError(
        `LinearState.truncate: of ${this.length} positions all or none can be kept, as only their sums are, got ${length}. Fork the state before what you may take back.`,
      );
    this.#empty();
  }

  reset(padding: ArrayLike<number> = new Int32Array(this.batch)): void {
    const counts = paddingCounts("LinearState", padding, this);
    this.padding.write(counts);
    this.#mostPadding = Math.max(...counts);
    this.#empty();
  }

  /** Of memory: the same however long the text. */
  get bytes(): number {
    return this.#all().reduce((bytes, { shape, dtype }) => bytes + sizeOf(shape) * dtypes[dtype].bytes, 0);
  }

  dispose(): void {
    for (const cell of this.#all()) cell.dispose();
  }

  #empty(): void {
    scope(() => {
      for (const { cell, empty } of this.#cells.flatMap((cells) => Object.values(cells)))
        cell.set(empty === 0 ? zeros(cell.shape, cell) : full(cell.shape, empty, cell));
    });
    this.lengths.write(new Int32Array(this.batch));
    this.length = 0;
  }

  #copyTo(copy: LinearState, change: (value: Tensor) => Tensor): LinearState {
    const targets = copy.#all();
    for (const [i, cell] of this.#all().entries()) targets[i]!.set(change(cell.value));
    copy.length = this.length;
    copy.#mostPadding = this.#mostPadding;
    return copy;
  }

  #all(): State[] {
    return [...this.#cells.flatMap((cells) => Object.values(cells).map(({ cell }) => cell)), this.lengths, this.padding];
  }
}

const carriedNames = ["sums", "keySums", "stabilizer", "valueSum", "keyCount"] as const;

function cellsOf(shape: LinearStateShape, batch: number, device: Device | undefined): Cells {
  const { kvHeads, headDim, featureDim, scaled, floored, localKvHeads, localWindow } = shape;
  const cell = (extents: readonly number[], empty = 0) => {
    const size = extents.reduce((a, b) => a * b, batch);
    const data = empty === 0 ? undefined : new Float32Array(size).fill(empty);
    return { cell: new State({ shape: [batch, ...extents], device, data }), empty };
  };
  return {
    sums: cell([kvHeads, featureDim, headDim]),
    keySums: cell([kvHeads, featureDim, 1]),
    ...(scaled && { stabilizer: cell([kvHeads, 1, 1], nothing) }),
    ...(scaled && floored && { valueSum: cell([kvHeads, 1, headDim]), keyCount: cell([1, 1, 1]) }),
    ...(localKvHeads > 0 && {
      recentKeys: cell([localKvHeads, localWindow, headDim]),
      recentValues: cell([localKvHeads, localWindow, headDim]),
    }),
  };
}
