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
  type Precision,
  ShapeError,
  statisticsOf,
  Tensor,
  TensorError,
  valueAndGrad,
  withGenerator,
  withPrecision,
} from "@x/tensor";
import { GradientSums, type Totals } from "./gradient-sums.ts";
import { LossScaler, type LossScaling } from "./loss-scaler.ts";

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
  /**
   * What forward and backward pass compute in, "f32" if absent. Parameters stay f32 and are cast once a step; gradients are summed and applied in f32. f16 scales the loss.
   * A loss function that brings floating point inputs of its own casts them to `currentPrecision()`.
   */
  readonly precision?: Precision;
  /** How the loss scale of f16 moves. */
  readonly lossScaling?: LossScaling;
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
  /** With f16: what the loss was multiplied by in this step. */
  readonly lossScale?: Tensor;
}

/** A training step of batches `B`: one batch, or a list of micro-batches whose gradients are summed before one update. A batch is no list itself. */
export interface TrainStep<B> {
  (batches: B | readonly B[], options: { readonly lr: number }): StepReadings;
  /** Compiles for batches of these shapes without running. */
  prepare(batches: B | readonly B[]): Promise<void>;
  readonly generator: Generator;
  /** The cells a checkpoint keeps beside the optimizer's: with f16 the loss scale and its count of good steps, else none. */
  states(): ReadonlyMap<string, Cell>;
  /** Gives back what the step holds: plans, and sums of micro-batches. The next call makes them again. */
  release(): void;
}

/** Where a micro-batch stands in its step. It selects structure: the first overwrites the sums, the last updates. */
type Phase = "only" | "first" | "more" | "last";

const phasesOf = (count: number): Phase[] =>
  count === 1 ? ["only"] : Array.from({ length: count }, (_, i) => (i === 0 ? "first" : i === count - 1 ? "last" : "more"));

/**
 * The whole step as one compiled plan: forward, backward, clipping, update. Gradients of micro-batches are summed, and divided once by the number of targets of
 * all of them. A loss or a gradient that is not finite updates nothing, and says so. In f16 it is the mean loss of a micro-batch that is scaled, as by PyTorch: gradients of the sum
 * would overflow by the number of targets.
 */
export function trainStep<T>(options: TrainStepOptions<T>): TrainStep<Hosted<T>> {
  type B = Hosted<T>;
  const { optimizer, device = defaultDevice("trainStep"), eager = false } = options;
  const generator = options.generator ?? new Generator({ seed: 0, device });
  const scaler = scalerOf(options, device);
  let sums: GradientSums | undefined;
  const body = ({ batch, lr }: { batch: T; lr: Tensor }, { phase }: { phase: Phase }) =>
    withTraining(true, () => runPhase(options, { sums, scaler }, batch, lr, phase));
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
    states: () => scaler?.states() ?? new Map(),
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

function scalerOf<T>({ precision = "f32", lossScaling }: TrainStepOptions<T>, device: Device): LossScaler | undefined {
  if (precision === "f16") return new LossScaler(lossScaling ?? {}, device);
  if (lossScaling) throw new TensorError(`trainStep: lossScaling is for precision "f16", got ${precision}, whose range needs none.`);
  return undefined;
}

/** What a step keeps from phase to phase. */
interface Kept {
  readonly sums: GradientSums | undefined;
  readonly scaler: LossScaler | undefined;
}

/** One micro-batch. Readings come from the last alone. */
function runPhase<T>(options: TrainStepOptions<T>, { sums, scaler }: Kept, batch: T, lr: Tensor, phase: Phase): StepReadings | undefined {
  const { optimizer, clipNorm = Number.POSITIVE_INFINITY, after } = options;
  const own = totalsOf(options, scaler, batch);
  if (phase === "first") return void sums!.begin(own);
  const total = phase === "only" ? own : sums!.plus(own);
  if (phase === "more") return void sums!.begin(total);
  const targets = total.count.maximum(1);
  const mean = total.sum.div(targets.cast(total.sum.dtype));
  const lossScale = scaler?.scale.copy();
  // Gradients with a weight are those of a mean already.
  const divisor = lossScale ? (total.weight ? lossScale : lossScale.mul(targets)) : targets;
  const clipped = clipByGlobalNorm(total.gradients, clipNorm, { gradScale: divisor.pow(-1) });
  const skip = clipped.skip.or(hasFinite(mean).not());
  optimizer.update(total.gradients, { lr, gradScale: clipped.gradScale, skip });
  scaler?.update(skip);
  after?.(skip);
  const readings = { loss: mean, gradNorm: clipped.norm, skipped: skip.cast("f32"), count: total.count };
  return lossScale ? { ...readings, lossScale } : readings;
}

/** Forward and backward pass, in the step's precision. */
function totalsOf<T>({ optimizer, loss, precision = "f32" }: TrainStepOptions<T>, scaler: LossScaler | undefined, batch: T): Totals {
  return withPrecision(precision, optimizer.parameters, () => {
    if (!scaler) {
      const { value, gradients } = valueAndGrad(() => asSum(loss(batch)), optimizer.parameters);
      return { gradients, sum: value.loss, count: value.count };
    }
    const { value, gradients } = valueAndGrad(() => {
      const { loss: sum, count } = asSum(loss(batch));
      const weight = count.maximum(1);
      return { loss: sum.mul(scaler.scale.div(weight).cast(sum.dtype)), sum, count, weight };
    }, optimizer.parameters);
    return { gradients, sum: value.sum, count: value.count, weight: value.weight };
  });
}

/** A mean counts as one target: the mean over micro-batches is then a mean of means. */
function asSum(made: Tensor | LossSum): { loss: Tensor; count: Tensor } {
  const { sum, count } = Tensor.isTensor(made) ? { sum: made, count: made.onesLike() } : made;
  return { loss: sum.cast(statisticsOf(sum.dtype)).reshape([]), count: count.cast("f32").reshape([]) };
}

/** Whether a scalar is finite, by its exponent bits: not every device keeps infinities and NaN in arithmetic. */
const hasFinite = (x: Tensor): Tensor => x.cast("f32").bits().and(0x7f800000).ne(0x7f800000);
