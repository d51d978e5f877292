import { type Pretrained, type SegmentMemory, TransformerXL } from "@x/models";
import { checkTokens } from "@x/ops";
import { valueAndGrad } from "@x/tensor";
import type { ParityDirectory, ParityTensor } from "@x/testing";
import { madeOf, publishedValues, toTensor } from "./forward.ts";
import { type Made, type OutputResult, resultOf } from "./report.ts";
import { UnsupportedError } from "./unsupported.ts";

/** Feeds segment after segment, each with the memory that the one before left, and compares everything that is listed. */
export async function runSegments(
  { directory, segments, inputs, outputs }: ParityDirectory,
  pretrained: Pretrained,
): Promise<OutputResult[]> {
  const { model } = pretrained;
  if (!(model instanceof TransformerXL))
    throw new UnsupportedError(`${directory}: has segments, which only TransfoXLLMHeadModel remembers, not ${pretrained.family.name}.`);
  const made = new Map<string, Made>();
  let state: SegmentMemory | undefined;
  for (const segment of segments!) {
    const name = `${segment}.input_ids`;
    const ids = inputs.get(name);
    if (!ids) throw new UnsupportedError(`${directory}/parity.safetensors: has no inputs.${name}, which parity.json's segments name.`);
    checkTokens(ids.data, model.vocabSize, `${directory}: inputs.${name}`);
    state ??= model.initState({ batch: ids.shape[0]! });
    for (const [output, value] of await outputsOf(ids, model, state, pretrained)) made.set(`${segment}.${output}`, value);
  }
  state?.dispose();
  return outputs.map((output) => resultOf(output, made.get(output.name)));
}

async function outputsOf(
  ids: ParityTensor,
  model: TransformerXL,
  state: SegmentMemory,
  { family }: Pretrained,
): Promise<Map<string, Made>> {
  const tokens = toTensor(ids);
  const length = ids.shape[1]!;
  const run = () => {
    const hidden = model.hiddenStates(tokens, { state });
    const last = hidden.at(-1)!;
    const scores = model.logits(last);
    // One token is its segment's first, which is no target.
    const losses = length === 1 ? scores : model.softmax.losses(last.slice(1, 0, length - 1), tokens.slice(1, 1, length));
    return { hidden, scores, loss: losses.mean() };
  };
  const { value, gradients } = valueAndGrad(run, Object.fromEntries(model.namedParameters()));
  const out = new Map<string, Made>([["prediction_scores", await madeOf(value.scores)]]);
  for (const [i, hidden] of value.hidden.entries()) out.set(`hidden_states.${i}`, await madeOf(hidden));
  for (const i of model.blocks.keys()) {
    const memory = state.memory(i);
    // Time first, as published.
    if (memory) out.set(`mems.${i}`, await madeOf(memory.transpose(0, 1)));
  }
  if (length === 1) return out;
  out.set("loss", await madeOf(value.loss));
  for (const [name, gradient] of await publishedValues(Object.entries(gradients), family)) out.set(`grad.${name}`, gradient);
  return out;
}
