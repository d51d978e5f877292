import { onesLike, type Parameter, State, scope, statisticsOf, type Tensor, zerosLike } from "@x/tensor";
import { expectGradients, type NamedParameters, uniqueParameters } from "./optimizer.ts";
import { asTensor, type Scalar, scaled } from "./scalars.ts";

/** What `apply` hands on. */
export interface Accumulated {
  /** Sums over the micro-batches, in the order of the parameters: loans, until `apply` ends. */
  readonly gradients: readonly Tensor[];
  /** One over the total count: pass it to `clipByGlobalNorm`, or to `optimizer.update`. */
  readonly gradScale: Tensor;
  /** The total count. */
  readonly count: Tensor;
}

/**
 * Gradient accumulation normalised by tokens: k micro-batches give what one batch of all of them gives, however unequal their numbers of targets are (a mean of
 * means would not). Each `add` takes gradients of the SUM of token losses, and how many tokens that is; `apply` divides once. Whether a call of a step only adds,
 * or also applies, is structure: make it a static argument.
 */
export class Accumulator {
  /** Each cell once, in the order of their names. */
  readonly parameters: readonly Parameter[];
  readonly #named: ReadonlyMap<string, Parameter>;
  readonly #sums: ReadonlyMap<string, State>;
  readonly #count: State;

  constructor(named: NamedParameters) {
    this.#named = uniqueParameters("Accumulator", named);
    this.parameters = [...this.#named.values()];
    const sumFor = ({ shape, dtype, device }: Parameter) => new State({ shape, dtype: statisticsOf(dtype), device });
    this.#sums = new Map([...this.#named].map(([name, parameter]) => [name, sumFor(parameter)]));
    this.#count = new State({ shape: [], device: this.parameters[0]!.device });
  }

  /** Adds a micro-batch: gradients of the sum of its losses, in the order of `parameters`, and its number of targets (`countTargets`, shape []). */
  add(gradients: readonly Tensor[], count: Scalar): void {
    expectGradients("Accumulator.add", this.#named, gradients);
    scope(() => {
      const tokens = asTensor("Accumulator.add", "count", count, this.#count);
      for (const [i, sum] of [...this.#sums.values()].entries()) sum.set(sum.value.add(scaled(gradients[i]!, undefined, sum)));
      this.#count.set(this.#count.value.add(tokens.cast("f32")));
    });
  }

  /** Hands the sums to `update`, then starts again from zero. Batches without any target give gradients of zero, not NaN. Returns what `update` returns. */
  apply<R>(update: (accumulated: Accumulated) => R): R {
    return scope(() => {
      const count = this.#count.value.copy();
      const divisor = count.gt(0).where(count, 1);
      const gradients = [...this.#sums.values()].map((sum) => sum.value);
      const result = update({ gradients, gradScale: onesLike(divisor).div(divisor), count });
      for (const cell of [...this.#sums.values(), this.#count]) cell.set(zerosLike(cell.value));
      return result;
    });
  }

  /** The cells a checkpoint keeps, where one is saved between micro-batches: "count", "sum.blocks.0.norm.weight". */
  states(): ReadonlyMap<string, State> {
    return new Map([["count", this.#count], ...[...this.#sums].map(([name, sum]) => [`sum.${name}`, sum] as const)]);
  }
}
