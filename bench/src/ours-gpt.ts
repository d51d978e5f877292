import { GPT2 } from "@x/models";
import { loadStateDict } from "@x/nn";
import { adamW } from "@x/optim";
import type { Device } from "@x/tensor";
import { languageLoss, tokenBatch, trainStep } from "@x/train";
import type { Prepared, Task } from "./competitor.ts";
import { timed } from "./competitor.ts";
import { type Constancy, constancy } from "./constancy.ts";
import { curveSteps, type GPTSizes, gptBatch, training } from "./gpt.ts";
import type { GPTWorkload, Inputs } from "./workloads.ts";

/** A training step to be done on a device. */
export interface GPTTask extends Pick<Task, "inputs" | "seed"> {
  work: GPTWorkload;
  device: Device;
}

/** The model of `gpt.ts` as our GPT2, its weights under our names, and one training step of it. */
function trainer({ work: { sizes }, inputs, seed, device }: GPTTask): (index: number) => Promise<number> {
  const { layers: numLayers, heads: numHeads, dim, context: maxLength, vocabulary: vocabSize, batch } = sizes;
  const model = new GPT2({ vocabSize, maxLength, dim, numLayers, numHeads, activation: "geluTanh" });
  loadStateDict(model, gptState(sizes, inputs));
  const optimizer = adamW({ betas: [training.beta1, training.beta2], eps: training.eps, weightDecay: training.decay }).init(
    model.namedParameters(),
  );
  const step = trainStep({ optimizer, loss: languageLoss(model), clipNorm: training.clip, device });
  return async (index) => {
    const { x, y } = gptBatch(sizes, index, seed);
    const readings = step(tokenBatch({ inputs: x, targets: y, shape: [batch, maxLength] }), { lr: training.rate });
    const loss = await readings.loss.item();
    for (const reading of Object.values(readings)) reading.dispose();
    return loss;
  };
}

export function prepareGPT(task: GPTTask): Prepared {
  const run = trainer(task);
  let next = 0;
  return {
    async output() {
      const losses = new Float32Array(curveSteps);
      for (; next < curveSteps; next++) losses[next] = await run(next);
      return losses;
    },
    sample: timed(() => run(next++)),
  };
}

/** Launches, allocations and live bytes of a training step over many. */
export async function gptConstancy(task: GPTTask, steps: number): Promise<Constancy> {
  const { device } = task;
  const run = trainer(task);
  let next = 0;
  const counters = () => {
    const { allocations, live } = device.memory();
    return { launches: device.figures.launches, allocations, liveBytes: live };
  };
  return constancy(() => run(next++), counters, { steps });
}

/** Weights [in, out] with joined projections, as our modules keep them: [out, in], apart. */
function gptState({ layers, dim, vocabulary, context }: GPTSizes, inputs: Inputs): Map<string, { shape: number[]; values: Float32Array }> {
  const state = new Map<string, { shape: number[]; values: Float32Array }>();
  const put = (name: string, values: Float32Array, shape: number[]) => state.set(name, { shape, values });
  const linear = (name: string, weight: Float32Array, bias: Float32Array, from: number, to: number, width = to, start = 0) => {
    put(`${name}.weight`, transposed(weight, from, width, start, to), [to, from]);
    put(`${name}.bias`, bias.slice(start, start + to), [to]);
  };
  put("tokens.weight", inputs.tokens!, [vocabulary, dim]);
  put("positions.weight", inputs.positions!, [context, dim]);
  for (let i = 0; i < layers; i++) {
    const given = (name: string) => inputs[`${i}.${name}`]!;
    for (const norm of ["norm1", "norm2"])
      for (const part of ["weight", "bias"]) put(`blocks.${i}.${norm}.${part}`, given(`${norm}.${part}`), [dim]);
    for (const [j, name] of ["query", "key", "value"].entries())
      linear(`blocks.${i}.attention.${name}`, given("qkv"), given("qkv.bias"), dim, dim, 3 * dim, j * dim);
    linear(`blocks.${i}.attention.output`, given("out"), given("out.bias"), dim, dim);
    linear(`blocks.${i}.mlp.input`, given("up"), given("up.bias"), dim, 4 * dim);
    linear(`blocks.${i}.mlp.output`, given("down"), given("down.bias"), 4 * dim, dim);
  }
  for (const part of ["weight", "bias"]) put(`norm.${part}`, inputs[`norm.${part}`]!, [dim]);
  return state;
}

/** Columns start ... start + to of a row-major [from, width] matrix, as rows. */
function transposed(weight: Float32Array, from: number, width: number, start: number, to: number): Float32Array {
  const out = new Float32Array(from * to);
  for (let r = 0; r < from; r++) for (let c = 0; c < to; c++) out[c * from + r] = weight[r * width + start + c]!;
  return out;
}
