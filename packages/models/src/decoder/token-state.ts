import { expectCounts, SequenceState } from "@x/nn";
import { writeRows } from "@x/ops";
import { arange, type Device, type Shape, State, type Tensor } from "@x/tensor";

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
export class TokenState extends SequenceState {
  readonly capacity: number;
  /** Tokens that a row holds. */
  readonly rowLength: number;
  /** i32 [batch, 1, rowLength, 1] */
  readonly #tokens: State;
  readonly #device: Device | undefined;

  constructor({ batch, capacity, maxLength = capacity, device }: TokenStateOptions) {
    expectCounts("TokenState", { capacity, maxLength });
    super(batch, device);
    this.rowLength = Math.min(capacity, maxLength);
    this.capacity = capacity;
    this.#device = device;
    this.#tokens = new State({ shape: [batch, 1, this.rowLength, 1], dtype: "i32", device });
  }

  /** Refuses tokens [batch, count] that do not fit, or that no row has room for, before anything is written. */
  override checkRoom(shape: Shape): void {
    super.checkRoom(shape, this.rowLength);
  }

  /** Takes tokens [batch, count] in. `all` [batch, rowLength] is what to see, and `at` [batch, count] says where the new ones stand in it; padding stands at 0. */
  append(tokens: Tensor): { readonly all: Tensor; readonly positions: Tensor; readonly at: Tensor } {
    const [batch, count] = tokens.shape as [number, number];
    const starts = this.lengths.value.sub(this.padding);
    this.#tokens.set(writeRows({ cache: this.#tokens, x: tokens.reshape([batch, 1, count, 1]), starts }));
    this.advance(count);
    const { device } = this.lengths;
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

  protected like(batch: number): this {
    return new TokenState({ batch, capacity: this.capacity, maxLength: this.rowLength, device: this.#device }) as this;
  }

  protected cells(): State[] {
    return [this.#tokens];
  }
}
