import { textBatches } from "@x/data";
import { Decoder, type DecoderConfig } from "@x/models/decoder";
import { namedCells } from "@x/nn";
import { adamW, nanoGptCosine } from "@x/optim";
import { type Device, Generator, withGenerator } from "@x/tensor";
import { languageLoss, Trainer, tokenBatch, trainStep } from "@x/train";
import type { Text } from "./text.ts";

export interface Training {
  readonly steps: number;
  readonly context: number;
  readonly batch: number;
  readonly lr: number;
  readonly warmup: number;
}

export interface Trained {
  readonly model: Decoder;
  /** Mean training loss of the last tenth of the steps; NaN where training gave up. */
  readonly loss: number;
  release(): void;
}

/** A decoder trained on a text: model, data order and dropout all follow the seed. */
export async function trained(
  text: Text,
  config: Omit<DecoderConfig, "vocabSize">,
  { steps, context, batch, lr, warmup }: Training,
  { seed, device }: { readonly seed: number; readonly device: Device },
): Promise<Trained> {
  const model = withGenerator(new Generator({ seed, device }), () => new Decoder({ ...config, vocabSize: text.vocabSize }));
  const optimizer = adamW({ betas: [0.9, 0.99], weightDecay: 0.1 }).init(model.namedParameters());
  const step = trainStep({ optimizer, loss: languageLoss(model), clipNorm: 1, device });
  const trainer = new Trainer({
    step,
    run: { model, cells: optimizer.states(), device },
    batches: textBatches({ tokens: text.train, batch, context, seed, order: "shuffled" }),
    arguments: tokenBatch,
    steps,
    schedule: nanoGptCosine({ lr, minLr: lr / 10, warmup, steps }),
    tokensPerBatch: batch * context,
  });
  const release = () => {
    step.release();
    for (const cell of [...namedCells(model).values(), ...optimizer.states().values()]) cell.dispose();
  };
  try {
    const { losses } = await trainer.train();
    const last = losses.slice(-Math.ceil(steps / 10));
    return { model, loss: last.reduce((sum, { loss }) => sum + loss, 0) / last.length, release };
  } catch (error) {
    // A trainer gives up after steps that are not finite; anything else is a mistake.
    if (!/not finite/.test((error as Error).message)) throw error;
    return { model, loss: Number.NaN, release };
  }
}
