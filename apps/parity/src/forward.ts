import { published, type SavedTensor } from "@x/checkpoint";
import type { Family, Pretrained } from "@x/models";
import { checkTokens, meanCrossEntropy } from "@x/ops";
import { scope, type Tensor, tensor, valueAndGrad } from "@x/tensor";
import type { ParityDirectory, ParityTensor } from "@x/testing";
import { type Made, type OutputResult, resultOf } from "./report.ts";
import { UnsupportedError } from "./unsupported.ts";

const known = ["input_ids", "attention_mask", "position_ids", "labels"];

/** Feeds the inputs once and compares everything that is listed. */
export async function runForward(parity: ParityDirectory, pretrained: Pretrained): Promise<OutputResult[]> {
  const unknown = [...parity.inputs.keys(), ...Object.keys(parity.forward)].filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new UnsupportedError(`${parity.directory}: the call has ${unknown.join(", ")}; known are ${known.join(", ")}.`);
  const made = await outputsOf(parity, pretrained);
  return parity.outputs.map((output) => resultOf(output, made.get(output.name)));
}

export const toTensor = ({ shape, data }: ParityTensor): Tensor => tensor(Int32Array.from(data), { shape });
export const madeOf = async (value: Tensor): Promise<Made> => ({ shape: value.shape, data: await value.data() });

async function outputsOf({ directory, inputs }: ParityDirectory, { model, family }: Pretrained): Promise<Map<string, Made>> {
  const ids = inputs.get("input_ids");
  if (!ids) throw new UnsupportedError(`${directory}/parity.safetensors: has no inputs.input_ids, which a language model is called with.`);
  checkTokens(ids.data, model.vocabSize, `${directory}: inputs.input_ids`);
  const [mask, positions, labels] = ["attention_mask", "position_ids", "labels"].map((name) => inputs.get(name));
  const tokens = toTensor(ids);
  const targets = labels && toTensor(labels);
  const options = {
    ...(mask && { keyMask: toTensor(mask).ne(0) }),
    ...(positions && { positions: toTensor(positions), total: 1 + Math.max(...positions.data) }),
  };
  const run = () => {
    const hidden = model.hiddenStates(tokens, options);
    const logits = model.logits(hidden.at(-1)!);
    return { hidden, logits, loss: targets ? causalLoss(logits, targets) : logits.sum() };
  };
  const { value, gradients } = valueAndGrad(run, Object.fromEntries(model.namedParameters()));
  const out = new Map<string, Made>([["logits", await madeOf(value.logits)]]);
  for (const [i, state] of value.hidden.entries()) out.set(`hidden_states.${i}`, await madeOf(state));
  if (!targets) return out;
  out.set("loss", await madeOf(value.loss));
  for (const [name, gradient] of await publishedValues(Object.entries(gradients), family)) out.set(`grad.${name}`, gradient);
  return out;
}

/** The mean over shifted targets: position t predicts token t + 1; -100 does not count. */
export function causalLoss(logits: Tensor, labels: Tensor): Tensor {
  return scope(() => {
    const length = labels.shape[1]!;
    return meanCrossEntropy(logits.slice(1, 0, length - 1), labels.slice(1, 1, length));
  });
}

/** Tensors that have our parameters' names and shapes, under the published names and in the published layouts. */
export async function publishedValues(
  ours: Iterable<readonly [string, Pick<Tensor, "shape" | "dtype" | "data">]>,
  { names }: Family,
): Promise<Map<string, Made>> {
  const host = new Map<string, SavedTensor>();
  for (const [name, value] of ours) host.set(name, { shape: value.shape, dtype: value.dtype, values: await value.data() });
  const out = new Map<string, Made>();
  for (const [name, { shape, values }] of published(host, names))
    out.set(name, { shape, data: typeof values === "function" ? await values() : values });
  return out;
}
