import type { Pretrained } from "@x/models";
import { adamW } from "@x/optim";
import type { Device, Tensor } from "@x/tensor";
import type { ParityDirectory } from "@x/testing";
import { trainStep } from "@x/train";
import { causalLoss, publishedValues } from "./forward.ts";
import { type Made, type OutputResult, resultOf } from "./report.ts";
import { UnsupportedError } from "./unsupported.ts";

/** The settings of a training run; see the format's README. */
interface TrainSettings {
  readonly steps: number;
  readonly optimizer: string;
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
  readonly clip_norm: number;
  readonly schedule: string;
  readonly dropout: number;
}

/** Trains as the directory says, through the same step as everything else here, and compares losses, norms and the last parameters. */
export async function runTraining(parity: ParityDirectory, { model, family }: Pretrained, device: Device): Promise<OutputResult[]> {
  const settings = parity.train as unknown as TrainSettings;
  if (settings.optimizer !== "AdamW" || settings.schedule !== "constant" || settings.dropout !== 0)
    throw new UnsupportedError(
      `${parity.directory}: train must be AdamW at a constant rate without dropout, got ${JSON.stringify(settings)}.`,
    );
  const batches = parity.inputs.get("batches");
  if (!batches) throw new UnsupportedError(`${parity.directory}/parity.safetensors: has no inputs.batches.`);
  const { betas, eps, weight_decay: weightDecay, clip_norm: clipNorm, lr, steps } = settings;
  const optimizer = adamW({ betas, eps, weightDecay }).init(model.namedParameters());
  const loss = (tokens: Tensor) => causalLoss(model.forward(tokens), tokens);
  const step = trainStep({ optimizer, loss, clipNorm, device });
  const shape = batches.shape.slice(1);
  const size = shape[0]! * shape[1]!;
  const [losses, norms] = [new Float32Array(steps), new Float32Array(steps)];
  for (let s = 0; s < steps; s++) {
    const data = Int32Array.from(batches.data.slice(s * size, (s + 1) * size));
    const readings = step({ data, shape }, { lr });
    losses[s] = await readings.loss.item();
    norms[s] = await readings.gradNorm.item();
  }
  step.release();
  const made = new Map<string, Made>([
    ["losses", { shape: [steps], data: losses }],
    ["grad_norms", { shape: [steps], data: norms }],
  ]);
  for (const [name, value] of await publishedValues(model.namedParameters(), family)) addParameter(made, `parameters.${name}`, value);
  return parity.outputs.map((output) => resultOf(output, made.get(output.name)));
}

/** GPT-2's bias of queries, keys and values is compared in parts, without the keys': softmax does not see it, so its gradient is rounding. */
function addParameter(made: Map<string, Made>, name: string, value: Made): void {
  made.set(name, value);
  if (!name.endsWith(".c_attn.bias")) return;
  const third = value.data.length / 3;
  made.set(`${name}.query`, { shape: [third], data: value.data.slice(0, third) });
  made.set(`${name}.value`, { shape: [third], data: value.data.slice(2 * third) });
}
