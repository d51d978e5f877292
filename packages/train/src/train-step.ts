import { withTraining } from "@x/nn";
import { globalNorm } from "@x/ops";
import {
  type Cell,
  compile,
  type Device,
  defaultDevice,
  Generator,
  type Parameter,
  ShapeError,
  State,
  type Step,
  type StepArgument,
  type Tensor,
  TensorError,
  type Traced,
  valueAndGrad,
  withGenerator,
} from "@x/tensor";

/** What the loss function returns: the sum over targets, and how many there were; their quotient is the loss. */
export interface LossSum {
  readonly sum: Tensor;
  /** One element, any number type. */
  readonly count: Tensor;
}

/** An optimizer whose cells are made: what `adamW(...).init(parameters)` and its like return. */
export interface StepOptimizer {
  /** What it trains, in the order in which gradients are handed over. */
  readonly parameters: readonly Parameter[];
  /** One update, inside a step. Where `skip`, bool, is true nothing changes. */
  update(gradients: readonly Tensor[], options: { readonly lr: Tensor; readonly gradScale?: Tensor; readonly skip?: Tensor }): void;
  states(): ReadonlyMap<string, Cell>;
}

export interface TrainStepOptions<B extends StepArgument> {
  readonly optimizer: StepOptimizer;
  /** The loss of a (micro-)batch: a mean, or sum and count, which accumulation needs to weigh tokens alike. */
  readonly loss: (batch: Traced<B>) => Tensor | LossSum;
  /** Largest 2-norm of all gradients together; they are scaled down to it. */
  readonly clipNorm?: number;
  /** Runs inside the step after the update: moving averages and the like. `skip`, bool, is true where the update was left out. */
  readonly after?: (skip: Tensor) => void;
  readonly generator?: Generator;
  readonly device?: Device;
  /** Run the body at every call instead of replaying a plan. */
  readonly eager?: boolean;
}

/** What a step measured: device scalars, good until the next call; `await loss.item()`. */
export interface StepReadings {
  /** Mean loss over all targets of all micro-batches. */
  readonly loss: Tensor;
  /** 2-norm of the gradient before clipping. */
  readonly gradNorm: Tensor;
  /** 1 where the gradient was not finite and nothing was updated. */
  readonly skipped: Tensor;
  /** Targets counted. */
  readonly count: Tensor;
}

/** A training step: one batch, or several micro-batches whose gradients are summed before one update. */
export interface TrainStep<B extends StepArgument> {
  (batches: B | readonly B[], options: { readonly lr: number }): StepReadings;
  /** Compiles for batches of this shape without running. */
  prepare(batch: B): Promise<void>;
  readonly generator: Generator;
  release(): void;
}

type Phase = "only" | "first" | "more" | "last";

/**
 * The whole step as one compiled plan: forward, backward, clipping, update. Gradients of micro-batches are summed, and divided once by the number of targets of
 * all of them. A gradient that is not finite updates nothing, and says so.
 */
export function trainStep<B extends StepArgument>(options: TrainStepOptions<B>): TrainStep<B> {
  const { optimizer, device = defaultDevice("trainStep"), eager = false } = options;
  const generator = options.generator ?? new Generator({ seed: 0, device });
  const sums = new Sums(optimizer.parameters, device);
  const any = options as unknown as AnyOptions;
  const body = ({ batch, lr }: { batch: unknown; lr: Tensor }, { phase }: { phase: Phase }): StepReadings =>
    withTraining(true, () => runPhase(any, sums, batch, lr, phase));
  const compiled = compile(body as never, { name: "trainStep", device, eager }) as unknown as Step<
    { batch: B; lr: number },
    { phase: Phase },
    StepReadings
  >;
  const call = (batches: B | readonly B[], { lr }: { readonly lr: number }): StepReadings => {
    const list = (isBatchList(batches) ? batches : [batches]) as readonly B[];
    if (list.length === 0) throw new ShapeError("trainStep: needs at least one batch.");
    if (list.length > 1) sums.make();
    return withGenerator(generator, () => {
      let readings: StepReadings | undefined;
      for (const [i, batch] of list.entries()) readings = compiled({ batch, lr }, { phase: phaseOf(i, list.length) });
      return readings!;
    });
  };
  return Object.assign(call, {
    prepare: (batch: B) => withGenerator(generator, () => compiled.prepare({ batch, lr: 0 }, { phase: "only" })),
    generator,
    release: () => compiled.release(),
  });
}

const isBatchList = (batches: unknown): boolean => Array.isArray(batches);
const phaseOf = (i: number, count: number): Phase => (count === 1 ? "only" : i === 0 ? "first" : i === count - 1 ? "last" : "more");

/** The options without the batch's type, which only the caller's loss function knows. */
type AnyOptions = Pick<TrainStepOptions<never>, "optimizer" | "clipNorm" | "after"> & { readonly loss: (batch: never) => Tensor | LossSum };

function runPhase({ optimizer, loss, clipNorm, after }: AnyOptions, sums: Sums, batch: unknown, lr: Tensor, phase: Phase): StepReadings {
  const { value, gradients } = valueAndGrad(() => asSum(loss(batch as never)), optimizer.parameters);
  const { loss: sum, count } = value as { loss: Tensor; count: Tensor };
  const total = phase === "only" ? { gradients, sum, count } : sums.add(gradients, sum, count, phase);
  const divisor = total.count.maximum(1);
  const mean = total.sum.div(divisor);
  const norm = globalNorm(total.gradients).div(divisor);
  if (phase === "first" || phase === "more") return { loss: mean, gradNorm: norm, skipped: norm.zerosLike(), count: total.count };
  const skip = isFinite(norm).not();
  const clip = clipNorm === undefined ? norm.onesLike() : norm.add(1e-6).pow(-1).mul(clipNorm).minimum(1);
  optimizer.update(total.gradients, { lr, gradScale: clip.div(divisor), skip });
  after?.(skip);
  return { loss: mean, gradNorm: norm, skipped: skip.cast("f32"), count: total.count };
}

function asSum(made: Tensor | LossSum): { loss: Tensor; count: Tensor } {
  if ("sum" in made && "count" in made) return { loss: made.sum, count: made.count.cast("f32").reshape([]) };
  return { loss: made, count: made.onesLike().cast("f32").reshape([]) };
}

/** Whether an f32 scalar is finite, by its exponent bits: not every device keeps infinities and NaN in arithmetic. */
const isFinite = (x: Tensor): Tensor => x.cast("f32").bits().and(0x7f800000).ne(0x7f800000);

/** Cells in which gradients of micro-batches are summed; made when first needed. */
class Sums {
  readonly #parameters: readonly Parameter[];
  readonly #device: Device;
  #cells: { readonly gradients: readonly State[]; readonly sum: State; readonly count: State } | undefined;

  constructor(parameters: readonly Parameter[], device: Device) {
    this.#parameters = parameters;
    this.#device = device;
  }

  make(): void {
    const place = (shape: readonly number[]) => new State({ shape, device: this.#device });
    this.#cells ??= { gradients: this.#parameters.map(({ shape }) => place(shape)), sum: place([]), count: place([]) };
  }

  add(
    gradients: readonly Tensor[],
    sum: Tensor,
    count: Tensor,
    phase: Phase,
  ): { gradients: readonly Tensor[]; sum: Tensor; count: Tensor } {
    const cells = this.#cells;
    if (!cells) throw new TensorError("trainStep: accumulation without its cells.");
    const first = phase === "first";
    const all = gradients.map((gradient, i) => (first ? gradient : cells.gradients[i]!.value.add(gradient)));
    const total = { gradients: all, sum: first ? sum : cells.sum.value.add(sum), count: first ? count : cells.count.value.add(count) };
    if (phase === "last") return total;
    for (const [i, cell] of cells.gradients.entries()) cell.set(all[i]!);
    cells.sum.set(total.sum);
    cells.count.set(total.count);
    return { gradients: cells.gradients.map((cell) => cell.value), sum: cells.sum.value, count: cells.count.value };
  }
}
