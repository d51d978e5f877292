import { published, type SavedTensor } from "@x/checkpoint";
import type { Pretrained } from "@x/models";
import { meanCrossEntropy } from "@x/ops";
import { type HostArray, scope, type Tensor, TensorError, tensor, valueAndGrad } from "@x/tensor";
import { type Comparison, compare } from "./compare.ts";
import type { ParityDirectory } from "./directory.ts";

/** Feeds the inputs once and compares everything that is listed. */
export async function runForward(directory: ParityDirectory, pretrained: Pretrained): Promise<Comparison[]> {
  const made = await outputsOf(directory, pretrained);
  const comparisons: Comparison[] = [];
  for (const [name, tolerance] of Object.entries(directory.outputs)) {
    const expected = await directory.values(`outputs.${name}`);
    const mask = tolerance.where ? await directory.values(`inputs.${tolerance.where}`) : undefined;
    const actual = made.get(name);
    if (!actual) throw new TensorError(`${directory.path}: parity.json asks for "${name}", which this architecture does not have.`);
    comparisons.push(compare(name, actual, expected, directory.shape(`outputs.${name}`), tolerance, mask));
  }
  return comparisons;
}

async function outputsOf(directory: ParityDirectory, { model, family }: Pretrained): Promise<Map<string, HostArray>> {
  const input = async (name: string) =>
    directory.has(`inputs.${name}`)
      ? tensor(Int32Array.from(await directory.values(`inputs.${name}`)), { shape: directory.shape(`inputs.${name}`) })
      : undefined;
  const tokens = await input("input_ids");
  if (!tokens) throw new TensorError(`${directory.path}/parity.safetensors: has no inputs.input_ids.`);
  const [mask, positions, labels] = [await input("attention_mask"), await input("position_ids"), await input("labels")];
  const options = {
    ...(mask && { keyMask: mask.ne(0) }),
    ...(positions && { positions, total: 1 + Math.max(...(await positions.data())) }),
  };
  const parameters = [...model.namedParameters()];
  const run = () => {
    const hidden = model.hiddenStates(tokens, options);
    const logits = model.logits(hidden.at(-1)!);
    return { hidden, logits, loss: labels ? causalLoss(logits, labels) : logits.sum() };
  };
  const { value, gradients } = valueAndGrad(
    run,
    parameters.map(([, cell]) => cell),
  );
  const out = new Map<string, HostArray>([
    ["logits", await value.logits.data()],
    ["loss", await value.loss.data()],
  ]);
  for (const [i, state] of value.hidden.entries()) out.set(`hidden_states.${i}`, await state.data());
  const host = new Map<string, SavedTensor>();
  for (const [i, [name, cell]] of parameters.entries())
    host.set(name, { shape: cell.shape, dtype: cell.dtype, values: await gradients[i]!.data() });
  for (const [name, values] of await publishedArrays(host, family.names)) out.set(`grad.${name}`, values);
  return out;
}

/** The mean over shifted targets: position t predicts token t + 1; -100 does not count. */
export function causalLoss(logits: Tensor, labels: Tensor): Tensor {
  return scope(() => {
    const length = labels.shape[1]!;
    return meanCrossEntropy(logits.slice(1, 0, length - 1), labels.slice(1, 1, length));
  });
}

/** Tensors of ours under their published names and layouts. */
export async function publishedArrays(
  tensors: ReadonlyMap<string, SavedTensor>,
  names: Pretrained["family"]["names"],
): Promise<[string, HostArray][]> {
  const out: [string, HostArray][] = [];
  for (const [name, { values }] of published(tensors, names)) out.push([name, await (typeof values === "function" ? values() : values)]);
  return out;
}
