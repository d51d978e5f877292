import { expectCounts, type ModelState, paddingCounts, rowIndices, sameRowIndices } from "@x/nn";
import { writeRows } from "@x/ops";
import { arange, type Device, isTracing, type Shape, ShapeError, State, scope, type Tensor, TensorError } from "@x/tensor";

export interface TokenStateOptions {
  readonly batch: number;
  /** Positions there is room for, padding included. */
  readonly capacity: number;
  /** The most tokens of a row, without its padding: what the model sees. */
  readonly maxLength?: number;
  readonly device?: Device | undefined;
}

/**
 * The tokens of a batch themselves: the state of a causal model that sees all of them again at each call, at the price of a whole forward for each token. Every row begins at its own first token, so that padding on the left is
 * none: what comes after the last token changes nothing before it.
 */
export class TokenState implements ModelState {
  readonly batch: number;
  readonly capacity: number;
  /** Tokens that a row holds. */
  readonly rowLength: number;
  /** i32 [batch, 1, rowLength, 1] */
  readonly #tokens: State;
  /** i32 [batch]: positions filled, padding included, and how many of them are padding. */
  readonly #lengths: State;
  readonly #padding: State;
  readonly #device: Device | undefined;
  length = 0;
  #mostPadding = 0;

  constructor({ batch, capacity, maxLength = capacity, device }: TokenStateOptions) {
    expectCounts("TokenState", { batch, capacity, maxLength });
    this.rowLength = Math.min(capacity, maxLength);
    this.batch = batch;
    this.capacity = capacity;
    this.#device = device;
    this.#tokens = new State({ shape: [batch, 1, this.rowLength, 1], dtype: "i32", device });
    this.#lengths = new State({ shape: [batch], dtype: "i32", device });
    this.#padding = new State({ shape: [batch], dtype: "i32", device });
  }

  /** Refuses tokens [batch, count] that do not fit, or that no row has room for, before anything is written. */
  checkRoom([batch, count]: Shape): void {
    if (batch !== this.batch)
      throw new ShapeError(
        `TokenState: tokens are [${batch}, ${count}], but the state has ${this.batch} rows. Make or select a state of ${batch}.`,
      );
    if (this.length + count! > this.capacity)
      throw new ShapeError(
        `TokenState: ${count} more positions do not fit: ${this.length} of ${this.capacity} are filled. Make the state with a larger capacity.`,
      );
    if (this.length - this.#mostPadding + count! > this.rowLength)
      throw new ShapeError(
        `TokenState: ${count} positions after ${this.length - this.#mostPadding} pass the model's maxLength ${this.rowLength} in every row. Reset the state, or truncate it.`,
      );
  }

  /** Takes tokens [batch, count] in. `all` [batch, rowLength] is what to see, and `at` [batch, count] says where the new ones stand in it; padding stands at 0. */
  append(tokens: Tensor): { readonly all: Tensor; readonly positions: Tensor; readonly at: Tensor } {
    const [batch, count] = tokens.shape as [number, number];
    const starts = this.#lengths.value.sub(this.#padding);
    this.#tokens.set(writeRows({ cache: this.#tokens, x: tokens.reshape([batch, 1, count, 1]), starts }));
    this.#lengths.set(this.#lengths.value.add(count));
    if (!isTracing()) this.length += count;
    const { device } = this.#lengths;
    const { rowLength } = this;
    // Rows that have ended may be stepped along with others, past their end.
    const at = starts
      .reshape([batch, 1])
      .add(arange(count, { device }))
      .maximum(0)
      .minimum(rowLength - 1);
    return { all: this.#tokens.value.reshape([batch, rowLength]), positions: arange(rowLength, { device }), at };
  }

  /** Of x [batch, rowLength, dim] the rows at i32 [batch, count]. */
  pick(x: Tensor, at: Tensor): Tensor {
    const [batch, count] = at.shape as [number, number];
    return x.gather(at.unsqueeze(-1).expand([batch, count, x.shape[2]!]), 1);
  }

  counted(count: number): void {
    this.length += count;
  }

  fork(): TokenState {
    return this.select(Array.from({ length: this.batch }, (_, row) => row));
  }

  gather(rows: Tensor | ArrayLike<number>): void {
    scope(() => {
      const index = sameRowIndices("TokenState", rows, { batch: this.batch, device: this.#lengths.device });
      for (const cell of this.#cells()) cell.set(cell.value.take(index, 0));
    });
  }

  select(rows: readonly number[]): TokenState {
    const copy = new TokenState({ batch: rows.length, capacity: this.capacity, maxLength: this.rowLength, device: this.#device });
    scope(() => {
      const index = rowIndices("TokenState.select", rows, { batch: this.batch, device: this.#lengths.device });
      for (const [i, cell] of this.#cells().entries()) copy.#cells()[i]!.set(cell.value.take(index, 0));
    });
    copy.length = this.length;
    copy.#mostPadding = this.#mostPadding;
    return copy;
  }

  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.length)
      throw new TensorError(`TokenState.truncate: length must be from 0 to the ${this.length} positions filled, got ${length}.`);
    this.#lengths.write(new Int32Array(this.batch).fill(length));
    this.length = length;
  }

  reset(padding: ArrayLike<number> = new Int32Array(this.batch)): void {
    const counts = paddingCounts("TokenState", padding, this);
    this.#padding.write(counts);
    this.#mostPadding = Math.max(...counts);
    this.truncate(0);
  }

  dispose(): void {
    for (const cell of this.#cells()) cell.dispose();
  }

  #cells(): State[] {
    return [this.#tokens, this.#lengths, this.#padding];
  }
}
