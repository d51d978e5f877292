import { type Parameter, State, scope, statisticsOf, type Tensor, type TensorLike } from "@x/tensor";
import { type NamedParameters, uniqueParameters } from "./optimizer.ts";
import { asTensor, expectNumber, next } from "./scalars.ts";

export interface MovingAverageOptions {
  /** d in e = d e + (1 - d) p, after every step. */
  readonly decay: number;
  /** Decay min(d, (1 + n) / (10 + n)) at update n = 0, 1, ...: young averages forget faster. */
  readonly warmUp?: boolean;
}

/** An exponential moving average of parameters, for evaluation: f32 cells that start as copies. Call `update` inside the step, after the optimizer's. */
export class MovingAverage {
  /** Each cell once, in the order of their names. */
  readonly parameters: readonly Parameter[];
  readonly #named: ReadonlyMap<string, Parameter>;
  readonly #decay: number;
  readonly #warmUp: boolean;
  readonly #averages: ReadonlyMap<string, State>;
  readonly #count: State;

  constructor(named: NamedParameters, { decay, warmUp = false }: MovingAverageOptions) {
    expectNumber("MovingAverage", "decay", decay, 0, 1, false);
    this.#named = uniqueParameters("MovingAverage", named);
    this.parameters = [...this.#named.values()];
    this.#decay = decay;
    this.#warmUp = warmUp;
    const averageFor = ({ shape, dtype, device }: Parameter) => new State({ shape, dtype: statisticsOf(dtype), device });
    this.#averages = new Map([...this.#named].map(([name, parameter]) => [name, averageFor(parameter)]));
    this.#count = new State({ shape: [], device: this.parameters[0]!.device });
    this.reset();
  }

  /** Moves the averages towards the parameters; `skip` (bool []) leaves them and their count alone, as it does the optimizer. */
  update({ skip }: { readonly skip?: TensorLike | undefined } = {}): void {
    scope(() => {
      const condition = skip && asTensor("MovingAverage", "skip", skip, undefined, "bool");
      const n = this.#count.value;
      const decay: Tensor | number = this.#warmUp ? n.add(1).div(n.add(10)).minimum(this.#decay) : this.#decay;
      for (const [name, average] of this.#averages) {
        const [e, p] = [average.value, this.#named.get(name)!.value.cast(average.dtype)];
        const share = typeof decay === "number" ? 1 - decay : decay.neg().add(1).cast(average.dtype);
        next(average, e.add(p.sub(e).mul(share)), condition);
      }
      next(this.#count, n.add(1), condition);
    });
  }

  /** Starts again from the parameters as they are: after loading weights. */
  reset(): void {
    scope(() => {
      for (const [name, average] of this.#averages) average.set(this.#named.get(name)!.value.cast(average.dtype).copy());
      this.#count.set(this.#count.value.mul(0));
    });
  }

  /** Writes the averages into the parameters, for good. */
  copyTo(): void {
    scope(() => {
      for (const [name, average] of this.#averages) next(this.#named.get(name)!, average.value, undefined);
    });
  }

  /** Runs `fn`, an evaluation perhaps, with the averages in the parameters' place, and puts the parameters back, also when it throws. No training meanwhile. */
  async during<R>(fn: () => R | Promise<R>): Promise<R> {
    const kept = new Map(this.parameters.map((parameter) => [parameter, parameter.snapshot()]));
    try {
      this.copyTo();
      return await fn();
    } finally {
      for (const [parameter, value] of kept) {
        parameter.set(value);
        value.dispose();
      }
    }
  }

  /** The cells a checkpoint keeps: "count", "average.blocks.0.norm.weight". */
  states(): ReadonlyMap<string, State> {
    return new Map([["count", this.#count], ...[...this.#averages].map(([name, cell]) => [`average.${name}`, cell] as const)]);
  }
}
