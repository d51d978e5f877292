import { wasm } from "@x/kernels-wasm";
import { GPT2 } from "@x/models/gpt2";
import { namedCells } from "@x/nn";
import { adamW } from "@x/optim";
import { type Cell, type Device, Generator, reference, type Tensor, withDevice, withGenerator } from "@x/tensor";
import { languageLoss, type TokenBatch, type TrainStepOptions, trainStep } from "@x/train";

export const devices: readonly (readonly [name: string, open: () => Promise<Device>])[] = [
  ["reference", async () => reference()],
  ["wasm", () => wasm({ threads: 2 })],
];

interface Weighted extends TokenBatch {
  /** Multiplies the loss: the way in for a NaN. */
  readonly weight: Tensor;
}

interface GptOptions extends Pick<TrainStepOptions<never>, "precision" | "lossScaling" | "eager" | "clipNorm"> {
  readonly dropout?: number;
  readonly seed?: number;
  readonly small?: boolean;
}

/** A GPT of a few thousand parameters with its step; `small` is for the device that is slow on purpose. */
export function tinyGpt(
  device: Device,
  { dropout = 0.2, eager = false, seed = 1, clipNorm = 1, small = false, ...mixed }: GptOptions = {},
) {
  return withDevice(device, () => {
    const config = { vocabSize: 17, maxLength: 8, dim: small ? 8 : 16, numLayers: small ? 1 : 2, numHeads: 2, dropout };
    const model = withGenerator(new Generator({ seed, device }), () => new GPT2(config));
    const optimizer = adamW({ betas: [0.9, 0.99], weightDecay: 0.1 }).init(model.namedParameters());
    const generator = new Generator({ seed: 9, device });
    const loss = ({ weight, ...batch }: Weighted) => {
      const { sum, count } = languageLoss(model)(batch);
      return { sum: sum.mul(weight), count };
    };
    return { model, optimizer, generator, step: trainStep({ optimizer, loss, clipNorm, generator, device, eager, ...mixed }) };
  });
}

/** Windows that count upwards from a number: something to learn. */
export function windows(first: number, { rows = 3, length = 8, weight = 1 } = {}) {
  const at = (shift: number) =>
    Int32Array.from({ length: rows * length }, (_, i) => (first * 5 + i * (1 + Math.floor(i / length)) + shift) % 17);
  const shape = [rows, length];
  return { inputs: { data: at(0), shape }, targets: { data: at(1), shape }, weight };
}

/**
 * 30 steps with a varying rate, accumulation in two of three, and a NaN in the 14th, which is left out. Gives loss, norm of the gradient and whether it was skipped of each step, and at the end
 * everything that training changes.
 */
export async function thirtySteps(made: ReturnType<typeof tinyGpt>, size: Parameters<typeof windows>[1] = {}) {
  const readings: number[][] = [];
  for (let i = 0; i < 30; i++) {
    const weight = i === 13 ? Number.NaN : 1;
    const batches = i % 3 === 0 ? windows(i, size) : [windows(i, size), windows(i + 1, { ...size, weight }), windows(i + 2, size)];
    const read = made.step(batches, { lr: 1e-2 / (1 + (i % 7)) });
    readings.push(await Promise.all([read.loss.item(), read.gradNorm.item(), read.skipped.item()]));
    for (const reading of Object.values(read)) reading.dispose();
  }
  return { readings, cells: await cellsOf(made) };
}

/** Everything that training changes, as numbers. */
export async function cellsOf({
  model,
  optimizer,
  step,
}: Pick<ReturnType<typeof tinyGpt>, "model" | "optimizer" | "step">): Promise<Record<string, number[]>> {
  const cells = new Map<string, Cell>([...namedCells(model), ...optimizer.states(), ...step.states(), ["key", step.generator.key]]);
  const values: Record<string, number[]> = {};
  for (const [name, cell] of cells) values[name] = [...(await cell.data())] as number[];
  return values;
}
