import type { Json } from "@x/checkpoint";
import { type StepArgument, TensorError } from "@x/tensor";
import type { MetricsSink } from "./metrics/metrics.ts";
import type { Progress } from "./progress/progress.ts";
import { openRun, type RunState, restoreRun, saveRun } from "./run-checkpoint.ts";
import type { TrainStep } from "./train-step.ts";

/** Batches whose place can be saved and found again. */
export interface ResumableBatches<T, S> {
  next(): { value: T } | Promise<{ value: T }>;
  state(): S;
  resume(state: S): void;
}

export interface TrainerOptions<T, B extends StepArgument, S> {
  readonly step: TrainStep<B>;
  readonly run: Omit<RunState, "generators"> & Partial<Pick<RunState, "generators">>;
  readonly batches: ResumableBatches<T, S>;
  /** A batch as the step takes it. */
  readonly arguments: (batch: T) => B;
  readonly steps: number;
  /** The rate of a step, counted from 0. */
  readonly schedule: (step: number) => number;
  /** Micro-batches for each update. */
  readonly accumulate?: number;
  readonly tokensPerBatch: number;
  readonly evaluate?: { readonly every: number; readonly run: () => Promise<number> } | undefined;
  /** Where to save, every how many steps, and how many to keep beside the best. */
  readonly checkpoint?: { readonly directory: string; readonly every: number; readonly keep?: number } | undefined;
  /** Kept in each checkpoint: what is needed to make the run's parts again. */
  readonly description?: { readonly [name: string]: Json };
  readonly metrics?: MetricsSink | undefined;
  readonly progress?: Progress | undefined;
  readonly onStep?: (record: StepRecord) => void;
  readonly onEvaluation?: (record: { readonly step: number; readonly valLoss: number }) => void;
  /** Stops after the running step, and saves. */
  readonly signal?: AbortSignal | undefined;
  /** Steps in a row whose gradient is not finite, after which the run gives up. */
  readonly maxSkipped?: number;
}

export interface StepRecord {
  readonly step: number;
  readonly loss: number;
  readonly lr: number;
  readonly gradNorm: number;
  readonly tokensPerSecond: number;
}

export interface TrainResult {
  /** Steps done, of all runs together. */
  readonly step: number;
  readonly interrupted: boolean;
  readonly losses: readonly { readonly step: number; readonly loss: number }[];
  readonly valLoss: number | undefined;
  /** The last checkpoint written. */
  readonly checkpoint: string | undefined;
}

/** What a checkpoint says of the trainer itself. */
interface TrainerState {
  readonly batches: Json;
  readonly tokens: number;
  readonly bestLoss: number | null;
  readonly description: { readonly [name: string]: Json };
}

/** The loop that every app shares: steps, evaluations, metrics, progress, checkpoints, interruption, exact resume. */
export class Trainer<T, B extends StepArgument, S> {
  readonly #options: TrainerOptions<T, B, S>;
  #step = 0;
  #tokens = 0;
  #bestLoss: number | undefined;
  #skipped = 0;
  #saved: { readonly step: number; readonly path: string } | undefined;

  constructor(options: TrainerOptions<T, B, S>) {
    this.#options = options;
  }

  get #state(): RunState {
    const { run, step } = this.#options;
    return { ...run, generators: { step: step.generator, ...run.generators } };
  }

  /** Steps done so far. */
  get step(): number {
    return this.#step;
  }

  /** Goes on from the newest checkpoint in the directory. False where there is none. */
  async resume(): Promise<boolean> {
    const { checkpoint, batches } = this.#options;
    if (!checkpoint) throw new TensorError("Trainer.resume: the trainer has no checkpoint directory.");
    const opened = await openRun(checkpoint.directory);
    if (!opened) return false;
    try {
      const { trainer } = opened.json as unknown as { trainer: TrainerState };
      await restoreRun(opened, this.#state);
      batches.resume(trainer.batches as S);
      this.#step = opened.step;
      this.#tokens = trainer.tokens;
      this.#bestLoss = trainer.bestLoss ?? undefined;
      this.#saved = { step: opened.step, path: opened.path };
      return true;
    } finally {
      await opened.close();
    }
  }

  async train(): Promise<TrainResult> {
    const { steps, evaluate, checkpoint, signal, progress } = this.#options;
    const losses: { step: number; loss: number }[] = [];
    let valLoss: number | undefined;
    try {
      while (this.#step < steps && !signal?.aborted) {
        const record = await this.#one();
        losses.push({ step: record.step, loss: record.loss });
        const done = this.#step === steps;
        if (evaluate && (this.#step % evaluate.every === 0 || done)) valLoss = await this.#evaluate();
        if (checkpoint && (this.#step % checkpoint.every === 0 || done)) await this.save(valLoss);
      }
      const interrupted = signal?.aborted === true && this.#step < steps;
      if (interrupted && checkpoint) await this.save(valLoss);
      return { step: this.#step, interrupted, losses, valLoss, checkpoint: this.#saved?.path };
    } finally {
      progress?.end();
    }
  }

  /** Writes a checkpoint now, unless this step has one. */
  async save(score?: number): Promise<string | undefined> {
    const { checkpoint, batches, description = {} } = this.#options;
    if (!checkpoint) return undefined;
    if (this.#saved?.step === this.#step) return this.#saved.path;
    const trainer = { batches: batches.state() as Json, tokens: this.#tokens, bestLoss: this.#bestLoss ?? null, description };
    const path = await saveRun(checkpoint.directory, this.#state, this.#step, { trainer }, { keep: checkpoint.keep ?? 2, score });
    this.#saved = { step: this.#step, path };
    return path;
  }

  async #one(): Promise<StepRecord> {
    const { step, schedule, accumulate = 1, tokensPerBatch, batches, metrics, progress, onStep } = this.#options;
    const begin = performance.now();
    const lr = schedule(this.#step);
    const micro: B[] = [];
    for (let i = 0; i < accumulate; i++) micro.push(this.#options.arguments((await batches.next()).value));
    const readings = step(micro, { lr });
    // Reads begin together, before the next call takes the memory back.
    const [loss, gradNorm, skipped] = await Promise.all([readings.loss.item(), readings.gradNorm.item(), readings.skipped.item()]);
    for (const reading of Object.values(readings)) reading.dispose();
    this.#step++;
    const tokens = accumulate * tokensPerBatch;
    this.#tokens += tokens;
    this.#guard(loss, skipped);
    const record = { step: this.#step, loss, lr, gradNorm, tokensPerSecond: tokens / ((performance.now() - begin) / 1000) };
    metrics?.write({ ...record });
    progress?.update(record);
    onStep?.(record);
    return record;
  }

  /** A run whose gradients stay infinite or NaN has come apart: it stops with a word instead of going on. */
  #guard(loss: number, skipped: number): void {
    const { maxSkipped = 10 } = this.#options;
    this.#skipped = skipped === 0 ? 0 : this.#skipped + 1;
    if (this.#skipped >= maxSkipped)
      throw new TensorError(
        `Trainer: the gradient was not finite for ${this.#skipped} steps in a row, at step ${this.#step} (loss ${loss}); nothing was updated in them. Lower the learning rate, or resume from ${this.#saved?.path ?? "the start"}.`,
      );
  }

  async #evaluate(): Promise<number> {
    const { evaluate, metrics, progress, onEvaluation } = this.#options;
    const valLoss = await evaluate!.run();
    this.#bestLoss = Math.min(this.#bestLoss ?? Number.POSITIVE_INFINITY, valLoss);
    const record = { step: this.#step, valLoss };
    metrics?.write(record);
    progress?.log(`step ${this.#step}: validation loss ${valLoss.toFixed(4)}`);
    onEvaluation?.(record);
    return valLoss;
  }
}
