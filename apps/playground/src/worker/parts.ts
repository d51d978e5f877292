import type { FileSystem, Json } from "@x/checkpoint";
import { CharacterTokenizer, encodeText, evaluationWindows, splitTokens, type TextBatch, type Tokenizer, tokenizerFromJSON } from "@x/data";
import { adamW, nanoGptCosine } from "@x/optim";
import { type Device, Generator, withDevice, withGenerator } from "@x/tensor";
import { evaluator, languageLoss, type StepRecord, Trainer, tokenBatch, trainStep } from "@x/train";
import type { ModelParts } from "../model-parts.ts";
import type { Preset } from "../presets.ts";
import type { MakeModel, PlayModel } from "./families.ts";
import type { RunDescription } from "./run-description.ts";
import { TextReading } from "./text-reading.ts";

/** A text to train on. JSON. */
export interface TrainingText {
  readonly name: string;
  readonly text: string;
  /** What samples begin with; the first word if absent. */
  readonly opening?: string;
}

export interface PartsOptions {
  readonly preset: Preset;
  readonly parts: ModelParts;
  /** Makes the model of these. */
  readonly make: MakeModel;
  readonly steps: number;
  readonly seed: number;
  readonly text: TrainingText;
  /** The run that is gone on with. Its tokenizer stays; a new run takes the characters of its text. */
  readonly earlier?: RunDescription | undefined;
  readonly device: Device;
  /** Where checkpoints go. */
  readonly directory: string;
  readonly files: FileSystem;
  /** Awaited before each step. */
  readonly before: () => Promise<void>;
  readonly onStep: (record: StepRecord) => void;
  readonly onEvaluation: (record: { readonly step: number; readonly valLoss: number }) => void;
  readonly signal: AbortSignal;
}

/** Batches of validation text that stand for all of it, so that a look at it takes no longer than a look. */
const evaluationBatches = 8;

/** What a training run is put together from. */
export function parts(options: PartsOptions) {
  const { preset, seed, device } = options;
  const { context, batch, betas, weightDecay, clipNorm } = preset.training;
  const tokenizer = options.earlier ? tokenizerFromJSON(options.earlier.tokenizer) : CharacterTokenizer.fromText(options.text.text);
  const { train, validation } = splitTokens(encodeText(tokenizer, options.text.text));
  const reading = new TextReading({ tokens: train, batch, context, seed, order: "shuffled", before: options.before });
  const made = withDevice(device, () => {
    const play = withGenerator(new Generator({ seed, device }), () => options.make(preset, tokenizer.vocabSize));
    const optimizer = adamW({ betas, weightDecay }).init(play.model.namedParameters());
    // Dropout draws from a stream of its own, so that it does not depend on how the model was drawn.
    return { play, optimizer, generator: new Generator({ seed: seed + 2 ** 32, device }) };
  });
  const { play, optimizer, generator } = made;
  const step = trainStep({ optimizer, loss: languageLoss(play.model), clipNorm, generator, device });
  const measure = evaluator(play.model, { device });
  const evaluate = (signal?: AbortSignal) => {
    // A text too short for a window of validation is trained on without one.
    if (validation.length <= context) return undefined;
    return measure(first(evaluationWindows({ tokens: validation, batch: Math.max(batch, 16), context }), evaluationBatches), { signal });
  };
  const trainer = trainerOf(options, { play, optimizer, step, reading, evaluate, tokenizer });
  const release = () => {
    step.release();
    measure.release();
  };
  return { ...play, tokenizer, reading, trainer, evaluate, release };
}

interface Made {
  readonly play: PlayModel;
  readonly optimizer: ReturnType<ReturnType<typeof adamW>["init"]>;
  readonly step: ReturnType<typeof trainStep<Parameters<ReturnType<typeof languageLoss>>[0]>>;
  readonly reading: TextReading;
  readonly evaluate: (signal?: AbortSignal) => Promise<number | undefined> | undefined;
  readonly tokenizer: Tokenizer;
}

function trainerOf({ preset, parts, steps, seed, text, device, directory, files, onStep, onEvaluation, signal }: PartsOptions, made: Made) {
  const { context, batch } = preset.training;
  const tokenizer = made.tokenizer.toJSON();
  const description: RunDescription = { preset: preset.id, parts, steps, seed, tokenizer, text: text.name, device: device.name };
  return new Trainer({
    step: made.step,
    run: { model: made.play.model, cells: made.optimizer.states(), device },
    batches: made.reading,
    arguments: (windows: TextBatch) => tokenBatch(windows),
    steps,
    schedule: nanoGptCosine({ ...preset.training, steps, warmup: Math.min(preset.training.warmup, Math.ceil(steps / 10)) }),
    beforeStep: made.play.beforeStep,
    tokensPerBatch: batch * context,
    evaluate: { every: evaluateEvery(steps), run: async (stop) => made.evaluate(stop) },
    // The session saves by the clock; the trainer at the end.
    checkpoint: { directory, every: steps, keep: 1, files },
    description: { ...description } as unknown as { readonly [name: string]: Json },
    onStep,
    onEvaluation,
    signal,
  });
}

/** Twenty points on the curve. */
const evaluateEvery = (steps: number): number => Math.max(10, Math.ceil(steps / 20));

function* first<T>(all: Iterable<T>, count: number): IterableIterator<T> {
  for (const one of all) {
    if (count-- <= 0) return;
    yield one;
  }
}
