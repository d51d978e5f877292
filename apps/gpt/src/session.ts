import type { Json } from "@x/checkpoint";
import { evaluationWindows, type TextBatch, type Tokenizer, textBatches } from "@x/data";
import { GPT2, type GPT2Config } from "@x/models";
import type { CausalLM, Module } from "@x/nn";
import { adamW, nanoGptCosine } from "@x/optim";
import { type Device, Generator, withGenerator } from "@x/tensor";
import { evaluator, languageLoss, type MetricsSink, type Progress, Trainer, type TrainerOptions, tokenBatch, trainStep } from "@x/train";
import type { Preset } from "./presets.ts";
import type { TextData } from "./text.ts";

export interface SessionOptions {
  readonly preset: Preset;
  readonly seed: number;
  readonly data: TextData;
  readonly device: Device;
  /** Where checkpoints go; undefined keeps none. */
  readonly directory?: string | undefined;
  readonly checkpointEvery?: number;
  /** A model to go on from, instead of a new one. */
  readonly model?: (Module & CausalLM) | undefined;
  readonly description: { readonly [name: string]: Json };
  readonly metrics?: MetricsSink | undefined;
  readonly progress?: Progress | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: TrainerOptions<TextBatch, never, never>["onStep"];
  readonly onEvaluation?: TrainerOptions<TextBatch, never, never>["onEvaluation"];
}

export const configOf = (preset: Preset, tokenizer: Tokenizer): GPT2Config => {
  const { numLayers, numHeads, dim, context, dropout, bias } = preset;
  return { vocabSize: tokenizer.vocabSize, maxLength: context, dim, numLayers, numHeads, dropout, bias, activation: "gelu" };
};

/** A model, drawn from the seed; the same on every device. */
export const newModel = (config: GPT2Config, seed: number, device: Device): GPT2 =>
  withGenerator(new Generator({ seed, device }), () => new GPT2(config));

/** The parts of a training run put together: model, optimizer, data, evaluation, checkpoints. */
export function session(options: SessionOptions) {
  const { preset, seed, data, device, directory, checkpointEvery = preset.evaluateEvery } = options;
  const model = options.model ?? newModel(configOf(preset, data.tokenizer), seed, device);
  const optimizer = adamW({ betas: preset.betas, weightDecay: preset.weightDecay }).init(model.namedParameters());
  // Dropout draws from a stream of its own, so that its seed does not depend on how the model was drawn.
  const generator = new Generator({ seed: seed + 2 ** 32, device });
  const step = trainStep({ optimizer, loss: languageLoss(model) as never, clipNorm: preset.clipNorm, generator, device });
  const batches = textBatches({ tokens: data.train, batch: preset.batch, context: preset.context, seed });
  const evaluate = evaluator(model);
  const validate = () => evaluate(evaluationWindows({ tokens: data.validation, batch: 64, context: preset.context }));
  const { lr, minLr, warmup, steps } = preset;
  const trainer = new Trainer({
    step,
    run: { model, cells: optimizer.states(), device },
    batches: batches as never,
    arguments: tokenBatch as never,
    steps,
    schedule: nanoGptCosine({ lr, minLr, warmup, steps }),
    accumulate: preset.accumulate,
    tokensPerBatch: preset.batch * preset.context,
    evaluate: data.validation.length > preset.context ? { every: preset.evaluateEvery, run: validate } : undefined,
    checkpoint: directory === undefined ? undefined : { directory, every: checkpointEvery },
    description: options.description,
    metrics: options.metrics,
    progress: options.progress,
    signal: options.signal,
    ...(options.onStep && { onStep: options.onStep }),
    ...(options.onEvaluation && { onEvaluation: options.onEvaluation }),
  });
  return { model, optimizer, step, trainer, validate };
}
