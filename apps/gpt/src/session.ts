import { redrawProjections } from "@x/attention-linear";
import type { Json } from "@x/checkpoint";
import { evaluationWindows, type TextBatch, textBatches } from "@x/data";
import { adamW, nanoGptCosine } from "@x/optim";
import { type Device, Generator } from "@x/tensor";
import { evaluator, languageLoss, Trainer, type TrainerOptions, tokenBatch, trainStep } from "@x/train";
import { type Model, type ModelDescription, makeModel, type RunDescription } from "./models.ts";
import type { Training } from "./presets.ts";
import type { TextData } from "./text.ts";

type Passed = Pick<TrainerOptions<TextBatch, never, never>, "metrics" | "progress" | "signal" | "onStep" | "onEvaluation">;

export interface SessionOptions extends Passed {
  readonly training: Training;
  readonly description: ModelDescription;
  /** A model to go on from; a new one is drawn from the seed. */
  readonly model?: Model | undefined;
  readonly seed: number;
  readonly data: TextData;
  /** What checkpoints call the data: its path. */
  readonly dataName: string;
  readonly device: Device;
  /** Where checkpoints go; undefined keeps none. */
  readonly directory?: string | undefined;
  readonly saveEvery?: number | undefined;
}

/** The parts of a training run put together: model, optimizer, data, evaluation, checkpoints. */
export function session(options: SessionOptions) {
  const { training, description, seed, data, device, directory, saveEvery = training.evaluateEvery } = options;
  const { context, batch, accumulate, steps, clipNorm, precision = "f32" } = training;
  const model = options.model ?? makeModel(description, { seed, device });
  const optimizer = adamW({ betas: training.betas, weightDecay: training.weightDecay }).init(model.namedParameters());
  // Dropout draws from a stream of its own, so that it does not depend on how the model was drawn.
  const generator = new Generator({ seed: seed + 2 ** 32, device });
  const step = trainStep({ optimizer, loss: languageLoss(model), clipNorm, precision, generator, device });
  const evaluate = evaluator(model, { device });
  const windows = () => evaluationWindows({ tokens: data.validation, batch: Math.max(batch, 16), context });
  const run: RunDescription = {
    model: description,
    tokenizer: data.tokenizer.toJSON() as Json,
    training: training as unknown as Json,
    seed,
    data: options.dataName,
  };
  const trainer = new Trainer({
    step,
    run: { model, cells: optimizer.states(), device },
    batches: textBatches({ tokens: data.train, batch, context, seed, order: "shuffled" }),
    arguments: tokenBatch,
    steps,
    schedule: nanoGptCosine(training),
    beforeStep:
      description.kind === "decoder" && description.config.mixer === "performer" ? () => void redrawProjections(model) : undefined,
    accumulate,
    tokensPerBatch: batch * context,
    // A text too short for a window of validation is trained on without one.
    evaluate:
      data.validation.length > context ? { every: training.evaluateEvery, run: (signal) => evaluate(windows(), { signal }) } : undefined,
    checkpoint: directory === undefined ? undefined : { directory, every: saveEvery },
    description: run as unknown as { readonly [name: string]: Json },
    metrics: options.metrics,
    progress: options.progress,
    signal: options.signal,
    onStep: options.onStep,
    onEvaluation: options.onEvaluation,
  });
  const release = () => {
    step.release();
    evaluate.release();
  };
  return { model, optimizer, step, trainer, release };
}
