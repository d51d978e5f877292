import { type Json, openTraining, type SaveTrainingOptions } from "@x/checkpoint";
import { TensorError, withGenerator } from "@x/tensor";
import type { MetricsSink } from "./metrics/metrics.ts";
import type { Progress } from "./progress/progress.ts";
import { type RunState, restoreRun, saveRun } from "./run-checkpoint.ts";
import type { TrainStep } from "./train-step.ts";
import { turns } from "./turns.ts";

/** Batches whose place can be saved and found again. */
export interface ResumableBatches<T, S> {
  next(): { value: T } | Promise<{ value: T }>;
  /** JSON. */
  state(): S;
  /** Throws, and changes nothing, where the state belongs to other data. */
  resume(state: S): void;
}

/** Where checkpoints go. */
export interface CheckpointPlan extends Pick<SaveTrainingOptions, "keep" | "files"> {
  readonly directory: string;
  /** Steps between two saves; the last step and an interruption save as well. */
  readonly every: number;
}

export interface TrainerOptions<T, B, S> {
  readonly step: TrainStep<B>;
  /** What is saved beside the step's own random stream and cells: model, the optimizer's cells, further streams. */
  readonly run: Omit<RunState, "generators"> & Partial<Pick<RunState, "generators">>;
  readonly batches: ResumableBatches<T, S>;
  /** A batch as the step takes it. */
  readonly arguments: (batch: T) => B;
  /** Steps of the whole run, those before a resumption included. */
  readonly steps: number;
  /** The rate of a step, counted from 0. A step that is left out because its gradient is not finite counts. */
  readonly schedule: (step: number) => number;
  /** Runs before each step, counted from 0, and outside of it; draws come from the step's stream. Where random features are drawn anew, and the like. */
  readonly beforeStep?: ((step: number) => void) | undefined;
  /** Micro-batches for each update. */
  readonly accumulate?: number;
  readonly tokensPerBatch: number;
  /** `run` gives the validation loss, or undefined where the signal stopped it. It also runs after the last step. */
  readonly evaluate?: { readonly every: number; readonly run: (signal?: AbortSignal) => Promise<number | undefined> } | undefined;
  readonly checkpoint?: CheckpointPlan | undefined;
  /** Kept in each checkpoint: what is needed to make the run's parts again. */
  readonly description?: { readonly [name: string]: Json };
  readonly metrics?: MetricsSink | undefined;
  readonly progress?: Progress | undefined;
  readonly onStep?: ((record: StepRecord) => void) | undefined;
  readonly onEvaluation?: ((record: Evaluation) => void) | undefined;
  /** Stops after the running step, and saves. */
  readonly signal?: AbortSignal | undefined;
  /** Steps in a row whose loss or gradient is not finite, after which the run gives up. 10 if absent. */
  readonly maxSkipped?: number;
}

/** A step's measurements, as metrics keep them. */
export interface StepRecord {
  /** Steps done, this one included. */
  readonly step: number;
  readonly loss: number;
  readonly lr: number;
  readonly gradNorm: number;
  /** Loss or gradient was not finite, and nothing was updated. */
  readonly skipped: boolean;
  /** With f16: what the loss was multiplied by. */
  readonly lossScale?: number;
  readonly tokensPerSecond: number;
}

export interface Evaluation {
  readonly step: number;
  readonly valLoss: number;
}

export interface TrainResult {
  /** Steps done, of all runs together. */
  readonly step: number;
  /** The signal came before the run was complete. */
  readonly interrupted: boolean;
  /** Of the steps of this call. */
  readonly losses: readonly { readonly step: number; readonly loss: number }[];
  /** The last one. */
  readonly evaluation: Evaluation | undefined;
  /** Path of the last checkpoint written. */
  readonly checkpoint: string | undefined;
}

/** What a checkpoint says of the trainer itself. */
interface TrainerState {
  readonly batches: Json;
  readonly tokens: number;
  readonly skipped: number;
  readonly evaluation: Evaluation | null;
  readonly description: { readonly [name: string]: Json };
}

/** The loop that every app shares: steps, evaluations, metrics, progress, checkpoints, interruption, exact resume. */
export class Trainer<T, B, S> {
  readonly #options: TrainerOptions<T, B, S>;
  #step = 0;
  #tokens = 0;
  /** Steps in a row that were left out. */
  #skipped = 0;
  #evaluation: Evaluation | undefined;
  #prepared = false;
  #saved: { readonly step: number; readonly path: string } | undefined;

  constructor(options: TrainerOptions<T, B, S>) {
    const { steps, accumulate = 1, evaluate, checkpoint } = options;
    const counts = { steps, accumulate, "evaluate.every": evaluate?.every ?? 1, "checkpoint.every": checkpoint?.every ?? 1 };
    for (const [name, count] of Object.entries(counts))
      if (!(Number.isSafeInteger(count) && count >= 1))
        throw new TensorError(`Trainer: ${name} must be a whole number from 1, got ${count}.`);
    this.#options = options;
  }

  /** Steps done so far. */
  get step(): number {
    return this.#step;
  }

  /** Targets seen so far, `tokensPerBatch` a batch. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Goes on from the newest checkpoint in the directory that is whole. False where there is none; an error changes nothing. */
  async resume(): Promise<boolean> {
    const { checkpoint, batches } = this.#options;
    if (!checkpoint)
      throw new TensorError("Trainer.resume: the trainer has no checkpoint directory. Pass checkpoint: { directory, every }.");
    const opened = await openTraining(checkpoint.directory, checkpoint.files ? { files: checkpoint.files } : {});
    if (!opened) return false;
    try {
      const { trainer } = opened.json as unknown as { readonly trainer?: TrainerState };
      if (!trainer) throw new TensorError(`${opened.path}: was not written by a Trainer; it has weights, but no place in the data.`);
      const before = batches.state();
      batches.resume(trainer.batches as S);
      await restoreRun(opened, this.#run).catch((error: unknown) => {
        batches.resume(before);
        throw error;
      });
      this.#step = opened.step;
      this.#tokens = trainer.tokens;
      this.#skipped = trainer.skipped;
      this.#evaluation = trainer.evaluation ?? undefined;
      this.#saved = { step: opened.step, path: opened.path };
      return true;
    } finally {
      await opened.close();
    }
  }

  /** Trains until all steps are done or the signal comes, and saves. What is written by then stays, whatever happens. */
  async train(): Promise<TrainResult> {
    const { steps, signal, progress, checkpoint } = this.#options;
    const losses: { step: number; loss: number }[] = [];
    const turn = turns();
    try {
      for (;;) {
        if (this.#evaluationDue && !signal?.aborted) await this.#evaluate();
        if (checkpoint && this.#step > 0 && this.#step % checkpoint.every === 0) await this.save();
        if (this.#step >= steps || signal?.aborted) break;
        const { step, loss } = await this.#one();
        losses.push({ step, loss });
        await turn();
      }
      await this.save();
      const interrupted = signal?.aborted === true && (this.#step < steps || this.#evaluationDue);
      return { step: this.#step, interrupted, losses, evaluation: this.#evaluation, checkpoint: this.#saved?.path };
    } finally {
      progress?.end();
    }
  }

  /** Writes a checkpoint now, unless this step has one; its path. Undefined without a directory. */
  async save(): Promise<string | undefined> {
    const { checkpoint, batches, description = {} } = this.#options;
    if (!checkpoint) return undefined;
    if (this.#saved?.step === this.#step) return this.#saved.path;
    const { directory, keep = 2, files } = checkpoint;
    const evaluation = this.#evaluation && Number.isFinite(this.#evaluation.valLoss) ? this.#evaluation : null;
    const trainer = {
      batches: batches.state() as Json,
      tokens: this.#tokens,
      skipped: this.#skipped,
      evaluation: evaluation as Json,
      description,
    };
    // A loss of another step says nothing about these weights.
    const score = evaluation?.step === this.#step ? evaluation.valLoss : undefined;
    const path = await saveRun(directory, this.#run, this.#step, { trainer }, { keep, score, ...(files && { files }) });
    this.#saved = { step: this.#step, path };
    return path;
  }

  get #run(): RunState {
    const { run, step } = this.#options;
    return { ...run, cells: new Map([...run.cells, ...step.states()]), generators: { step: step.generator, ...run.generators } };
  }

  /** After every so many steps and after the last; not twice for one step, in a resumed run neither. */
  get #evaluationDue(): boolean {
    const { evaluate, steps } = this.#options;
    if (!evaluate || this.#step === 0 || this.#evaluation?.step === this.#step) return false;
    return this.#step % evaluate.every === 0 || this.#step === steps;
  }

  async #one(): Promise<StepRecord> {
    const { step, schedule, beforeStep, accumulate = 1, tokensPerBatch, batches, progress, onStep } = this.#options;
    const begin = performance.now();
    const lr = schedule(this.#step);
    const micro: B[] = [];
    for (let i = 0; i < accumulate; i++) micro.push(this.#options.arguments((await batches.next()).value));
    if (!this.#prepared) await step.prepare(micro);
    this.#prepared = true;
    if (beforeStep) withGenerator(step.generator, () => beforeStep(this.#step));
    const readings = step(micro, { lr });
    // Reads begin together, before the next call takes the memory back.
    const { loss: mean, gradNorm: norm, skipped, lossScale: scale } = readings;
    const [loss, gradNorm, left, lossScale] = await Promise.all([mean.item(), norm.item(), skipped.item(), scale?.item()]);
    for (const reading of Object.values(readings)) reading.dispose();
    const tokens = accumulate * tokensPerBatch;
    this.#step++;
    this.#tokens += tokens;
    this.#skipped = left === 0 ? 0 : this.#skipped + 1;
    const tokensPerSecond = tokens / ((performance.now() - begin) / 1000);
    const scaled = lossScale === undefined ? {} : { lossScale };
    const record: StepRecord = { step: this.#step, loss, lr, gradNorm, skipped: left !== 0, ...scaled, tokensPerSecond };
    await this.#report({ ...record }, () => {
      progress?.update(record);
      onStep?.(record);
    });
    this.#guard(loss);
    return record;
  }

  /** A run whose gradients stay infinite or NaN has come apart: it stops with a word instead of going on. */
  #guard(loss: number): void {
    const { maxSkipped = 10 } = this.#options;
    if (this.#skipped < maxSkipped) return;
    throw new TensorError(
      `Trainer: loss or gradient was not finite in ${this.#skipped} steps in a row, the last of them step ${this.#step} (loss ${loss}); none of them updated anything. Lower the learning rate or look at the data, and go on from ${this.#saved?.path ?? "the start"}.`,
    );
  }

  async #evaluate(): Promise<void> {
    const { evaluate, progress, onEvaluation, signal } = this.#options;
    const valLoss = await evaluate!.run(signal);
    if (valLoss === undefined) return;
    const record = { step: this.#step, valLoss };
    this.#evaluation = record;
    await this.#report(record, () => {
      progress?.log(`step ${this.#step}: validation loss ${valLoss.toFixed(4)}`);
      onEvaluation?.(record);
    });
  }

  /** Tells all who listen. One that fails ends the run, but the run itself is sound: what it has done is saved, if that can be. */
  async #report(record: { readonly step: number; readonly [name: string]: number | boolean }, others: () => void): Promise<void> {
    try {
      this.#options.metrics?.write(record);
      others();
    } catch (error) {
      await this.save().catch(() => undefined);
      throw error;
    }
  }
}
