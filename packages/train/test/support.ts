import { type TextBatch, textBatches } from "@x/data";
import { type CausalLM, Dropout, Embedding, Linear, type ModelState, Module, namedCells } from "@x/nn";
import { adamW } from "@x/optim";
import { type Cell, type Device, Generator, type Hosted, type Tensor, withDevice, withGenerator } from "@x/tensor";
import { languageLoss, type TokenBatch, Trainer, type TrainerOptions, type TrainStepOptions, tokenBatch, trainStep } from "../src/index.ts";

/** Predicts the next token from this one: as little of a language model as a step needs, with dropout. */
export class Bigram extends Module implements CausalLM {
  readonly vocabSize: number;
  readonly maxLength = undefined;
  readonly table: Embedding;
  readonly dropout: Dropout;
  readonly head: Linear;

  constructor({ vocabSize = 11, dim = 6, dropout = 0.25 } = {}) {
    super();
    this.vocabSize = vocabSize;
    this.table = new Embedding({ vocabSize, dim });
    this.dropout = new Dropout({ p: dropout });
    this.head = new Linear({ inputDim: dim, outputDim: vocabSize });
  }

  forward(tokens: Tensor): Tensor {
    return this.head.forward(this.dropout.forward(this.table.forward(tokens)));
  }

  initState(): ModelState {
    throw new Error("Bigram has no state.");
  }
}

/** Tokens in which each follows from the one before, most of the time. */
export const tokens = Uint16Array.from({ length: 400 }, (_, i) => (i % 17 === 0 ? (i * 7) % 11 : (i * i + 3 * i) % 11));

type Loss = TrainStepOptions<TokenBatch>["loss"];

interface PartsOptions extends Pick<TrainStepOptions<TokenBatch>, "eager" | "precision" | "lossScaling"> {
  readonly dropout?: number;
  readonly seed?: number;
  readonly wrap?: (loss: Loss) => Loss;
}

/** A model, its optimizer and its step, drawn from a seed. */
export function parts(device: Device, { dropout = 0.25, seed = 3, wrap = (loss: Loss): Loss => loss, ...how }: PartsOptions = {}) {
  return withDevice(device, () => {
    const model = withGenerator(new Generator({ seed, device }), () => new Bigram({ dropout }));
    const optimizer = adamW({ weightDecay: 0.1 }).init(model.namedParameters());
    const generator = new Generator({ seed: seed + 77, device });
    const step = trainStep({ optimizer, loss: wrap(languageLoss(model)), clipNorm: 0.5, generator, device, ...how });
    return { model, optimizer, step, generator };
  });
}

type Options = TrainerOptions<TextBatch, Hosted<TokenBatch>, ReturnType<ReturnType<typeof textBatches>["state"]>>;

/** A trainer over `tokens`, everything it is not told chosen. */
export function makeTrainer(device: Device, options: Partial<Options> & { seed?: number; accumulate?: number } = {}, made = parts(device)) {
  const batches = textBatches({ tokens, batch: 3, context: 5, seed: options.seed ?? 5 });
  const trainer = new Trainer({
    step: made.step,
    run: { model: made.model, cells: made.optimizer.states(), device },
    batches,
    arguments: tokenBatch,
    steps: 12,
    schedule: (step) => 0.05 / (1 + step),
    tokensPerBatch: 15,
    ...options,
  });
  return { ...made, trainer, batches };
}

/** Everything that training changes, as numbers. */
export async function cellsOf({ model, optimizer, step }: Pick<ReturnType<typeof parts>, "model" | "optimizer" | "step">) {
  const cells = new Map<string, Cell>([...namedCells(model), ...optimizer.states(), ...step.states(), ["key", step.generator.key]]);
  const values: Record<string, readonly number[]> = {};
  for (const [name, cell] of cells) values[name] = [...(await cell.data())] as number[];
  return values;
}

/** Two batches: windows of one length, the targets of some not counted. */
export function batch(rows: readonly number[], { ignore = 0, shift = 1 } = {}): Hosted<TokenBatch> {
  const length = 5;
  const inputs = Int32Array.from(rows.flatMap((row) => [...tokens.subarray(row, row + length)]));
  const targets = Int32Array.from(rows.flatMap((row) => [...tokens.subarray(row + shift, row + shift + length)])).fill(-100, 0, ignore);
  return tokenBatch({ inputs, targets, shape: [rows.length, length] });
}
