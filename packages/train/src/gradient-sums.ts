import { type Device, type Parameter, State, statisticsOf, type Tensor } from "@x/tensor";

/** What one micro-batch, or several together, came to. */
export interface Totals {
  /** Gradients of `sum`, in the order of the parameters. */
  readonly gradients: readonly Tensor[];
  readonly sum: Tensor;
  readonly count: Tensor;
}

/**
 * Cells in which micro-batches are summed, f32 (f64 for f64 parameters). Unlike @x/optim's Accumulator, they are not zeroed after use: the first micro-batch of a
 * step overwrites them. So a step that fails between two micro-batches leaves nothing behind, and the first and the last of them cost no pass of their own.
 */
export class GradientSums {
  readonly #gradients: readonly State[];
  readonly #sum: State;
  readonly #count: State;

  constructor(parameters: readonly Parameter[], device: Device) {
    this.#gradients = parameters.map(({ shape, dtype }) => new State({ shape, dtype: statisticsOf(dtype), device }));
    this.#sum = new State({ shape: [], device });
    this.#count = new State({ shape: [], device });
  }

  /** Keeps the first micro-batch. */
  begin({ gradients, sum, count }: Totals): void {
    for (const [i, cell] of this.#gradients.entries()) cell.set(gradients[i]!.cast(cell.dtype));
    this.#sum.set(sum.cast("f32"));
    this.#count.set(count);
  }

  /** What was kept, and this micro-batch. */
  plus({ gradients, sum, count }: Totals): Totals {
    return {
      gradients: this.#gradients.map((cell, i) => cell.value.add(gradients[i]!.cast(cell.dtype))),
      sum: this.#sum.value.add(sum.cast("f32")),
      count: this.#count.value.add(count),
    };
  }

  dispose(): void {
    for (const cell of [...this.#gradients, this.#sum, this.#count]) cell.dispose();
  }
}
