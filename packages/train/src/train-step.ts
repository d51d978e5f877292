import { withTraining } from "@x/nn";
import { clipByGlobalNorm } from "@x/optim";
import {
  type Cell,
  compile,
  type Device,
  defaultDevice,
  Generator,
  type Hosted,
  type Parameter,
  ShapeError,
  Tensor,
  TensorError,
  valueAndGrad,
  withGenerator,
} from "@x/tensor";
import { GradientSums, type Totals } from "./gradient-sums.ts";

/** What the loss function returns: the sum over targets, and how many there were; their quotient is the loss. */
export interface LossSum {
  /** Shape []. */
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

/** `T` is the batch as the loss function sees it: tensors, alone or in records. */
export interface TrainStepOptions<T> {
  readonly optimizer: StepOptimizer;
  /** The loss of a (micro-)batch: a mean, or sum and count, which accumulation needs to weigh targets alike. */
  readonly loss: (batch: T) => Tensor | LossSum;
  /** Largest 2-norm of all gradients together, taken of the mean loss; they are scaled down to it. */
  readonly clipNorm?: number;
  /** Runs inside the step after the update: moving averages and the like. `skip`, bool, is true where the update was left out. */
  readonly after?: (skip: Tensor) => void;
  /** Where dropout and its like draw from. */
  readonly generator?: Generator;
  readonly device?: Device;
  /** Run the body at every call instead of replaying a plan. */
  readonly eager?: boolean;
}

/** What a step measured: scalars on the device, good until the next call; `await loss.item()`, then `dispose()` or let a scope do it. */
export interface StepReadings {
  /** Mean loss over all targets of all micro-batches. */
  readonly loss: Tensor;
  /** 2-norm of its gradient, before clipping. */
  readonly gradNorm: Tensor;
  /** 1 where loss or gradient was not finite and nothing was updated, else 0. */
  readonly skipped: Tensor;
  /** Targets counted. */
  readonly count: Tensor;
}

/** A training step of batches `B`: one batch, or a list of micro-batches whose gradients are summed before one update. A batch is no list itself. */
export interface TrainStep<B> {
  (batches: B | readonly B[], options: { readonly lr: number }): StepReadings;
  /** Compiles for batches of these shapes without running. */
  prepare(batches: B | readonly B[]): Promise<void>;
  readonly generator: Generator;
  /** Gives back what the step holds: plans, and sums of micro-batches. The next call makes them again. */
  release(): void;
}

/** Where a micro-batch stands in its step. It selects structure: the first overwrites the sums, the last updates. */
type Phase = "only" | "first" | "more" | "last";

const phasesOf = (count: number): Phase[] =>
  count === 1 ? ["only"] : Array.from({ length: count }, (_, i) => (i === 0 ? "first" : i === count - 1 ? "last" : "more"));

/**
 * The whole step as one compiled plan: forward, backward, clipping, update. Gradients of micro-batches are summed, and divided once by the number of targets of
 * all of them. A loss or a gradient that is not finite updates nothing, and says so.
 */
export function trainStep<T>(options: TrainStepOptions<T>): TrainStep<Hosted<T>> {
  type B = Hosted<T>;
  const { optimizer, device = defaultDevice("trainStep"), eager = false } = options;
  const generator = options.generator ?? new Generator({ seed: 0, device });
  let sums: GradientSums | undefined;
  const body = ({ batch, lr }: { batch: T; lr: Tensor }, { phase }: { phase: Phase }) =>
    withTraining(true, () => runPhase(options, sums, batch, lr, phase));
  const compiled = compile(body, { name: "trainStep", device, eager });
  const micros = (batches: B | readonly B[], lr: number) => {
    const list = Array.isArray(batches) ? (batches as readonly B[]) : [batches as B];
    if (list.length === 0) throw new ShapeError("trainStep: needs at least one batch, got an empty list.");
    if (list.length > 1) sums ??= new GradientSums(optimizer.parameters, device);
    const phases = phasesOf(list.length);
    return list.map((batch, i) => [{ batch, lr }, { phase: phases[i]! }] as const);
  };
  const call = (batches: B | readonly B[], { lr }: { readonly lr: number }): StepReadings => {
    if (!Number.isFinite(lr)) throw new TensorError(`trainStep: lr must be a finite number, got ${lr}. Look at the schedule.`);
    return withGenerator(
      generator,
      () =>
        micros(batches, lr)
          .map((one) => compiled(...one))
          .at(-1)!,
    );
  };
  return Object.assign(call, {
    generator,
    async prepare(batches: B | readonly B[]) {
      for (const one of micros(batches, 0)) await withGenerator(generator, () => compiled.prepare(...one));
    },
    release() {
      compiled.release();
      sums?.dispose();
      sums = undefined;
    },
  });
}

/** One micro-batch. Readings come from the last alone. */
function runPhase<T>(
  { optimizer, loss, clipNorm = Number.POSITIVE_INFINITY, after }: TrainStepOptions<T>,
  sums: GradientSums | undefined,
  batch: T,
  lr: Tensor,
  phase: Phase,
): StepReadings | undefined {
  const { value, gradients } = valueAndGrad(() => asSum(loss(batch)), optimizer.parameters);
  const own: Totals = { gradients, sum: value.loss, count: value.count };
  if (phase === "first") return void sums!.begin(own);
  const total = phase === "only" ? own : sums!.plus(own);
  if (phase === "more") return void sums!.begin(total);
  const divisor = total.count.maximum(1);
  const mean = total.sum.div(divisor.cast(total.sum.dtype));
  const clipped = clipByGlobalNorm(total.gradients, clipNorm, { gradScale: divisor.pow(-1) });
  const skip = clipped.skip.or(hasFinite(mean).not());
  optimizer.update(total.gradients, { lr, gradScale: clipped.gradScale, skip });
  after?.(skip);
  return { loss: mean, gradNorm: clipped.norm, skipped: skip.cast("f32"), count: total.count };
}

/** A mean counts as one target: the mean over micro-batches is then a mean of means. */
function asSum(made: Tensor | LossSum): { loss: Tensor; count: Tensor } {
  const { sum, count } = Tensor.isTensor(made) ? { sum: made, count: made.onesLike() } : made;
  return { loss: sum.reshape([]), count: count.cast("f32").reshape([]) };
}

/** Whether a scalar is finite, by its exponent bits: not every device keeps infinities and NaN in arithmetic. */
const hasFinite = (x: Tensor): Tensor => x.cast("f32").bits().and(0x7f800000).ne(0x7f800000);
