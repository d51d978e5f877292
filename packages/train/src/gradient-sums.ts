import { type Device, type Parameter, State, statisticsOf, type Tensor } from "@x/tensor";

/** What one micro-batch, or several together, came to. */
export interface Totals {
  /** In the order of the parameters, of `sum` where there is no weight. */
  readonly gradients: readonly Tensor[];
  /** What gradients are multiplied by, in f32, before they are added to others: those of a mean by its number of targets. Shape []. */
  readonly weight?: Tensor;
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
  begin({ gradients, weight, sum, count }: Totals): void {
    for (const [i, cell] of this.#gradients.entries()) cell.set(weighted(gradients[i]!, weight, cell));
    this.#sum.set(sum.cast("f32"));
    this.#count.set(count);
  }

  /** What was kept, and this micro-batch. */
  plus({ gradients, weight, sum, count }: Totals): Totals {
    return {
      gradients: this.#gradients.map((cell, i) => cell.value.add(weighted(gradients[i]!, weight, cell))),
      sum: this.#sum.value.add(sum.cast("f32")),
      count: this.#count.value.add(count),
    };
  }

  dispose(): void {
    for (const cell of [...this.#gradients, this.#sum, this.#count]) cell.dispose();
  }
}

const weighted = (gradient: Tensor, weight: Tensor | undefined, { dtype }: State): Tensor =>
  weight ? gradient.cast(dtype).mul(weight.cast(dtype)) : gradient.cast(dtype);
