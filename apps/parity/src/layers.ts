import { adamw, attention, layerNorm, rmsNorm, rope, softmax } from "@x/ops";
import { arange, Tensor, tensor, vjp } from "@x/tensor";
import type { ParityCase, ParityModule, ParityTensor } from "@x/testing";
import { type Made, type OutputResult, resultOf } from "./report.ts";

type Named = Readonly<Record<string, Tensor>>;
/** Outputs by their names in the fixture, from its inputs and options. */
type Layer = (inputs: Named, one: ParityCase) => Named;

const placed = (tensors: ReadonlyMap<string, ParityTensor>): Record<string, Tensor> =>
  Object.fromEntries([...tensors].map(([name, { data, shape }]) => [name, tensor(data, { shape })]));

const norms: Layer = ({ x, weight, bias }, { name, options }) => {
  const { eps = name.startsWith("layer_norm") ? 1e-5 : 2 ** -23 } = options as { eps?: number };
  return { output: name.startsWith("layer_norm") ? layerNorm({ x: x!, weight, bias }, { eps }) : rmsNorm({ x: x!, weight }, { eps }) };
};

const scaledDotProductAttention: Layer = ({ query, key, value, mask, bool_mask: allowed }, { options }) => {
  const [q, k, v] = [query!, key!, value!];
  const { is_causal: causal = false, scale = q.shape[3]! ** -0.5 } = options as { is_causal?: boolean; scale?: number };
  if (!mask && !allowed) return { output: attention({ q, k, v }, { scale, causal }) };
  // Masks of any form are no part of the fused operation, which knows causality and keys: composed of smaller ones.
  const groups = q.shape[1]! / k.shape[1]!;
  const spread = (x: Tensor) =>
    x
      .unsqueeze(2)
      .expand([x.shape[0]!, x.shape[1]!, groups, x.shape[2]!, x.shape[3]!])
      .reshape([x.shape[0]!, q.shape[1]!, x.shape[2]!, x.shape[3]!]);
  const scores = q.matmul(spread(k).transpose()).mul(scale);
  const biased = mask ? scores.add(mask) : scores;
  if (!allowed) return { output: softmax({ x: biased }).matmul(spread(v)) };
  const seen = allowed.ne(0).expand(scores.shape);
  const weights = softmax({ x: seen.where(biased, -1e30) });
  return { output: seen.where(weights, 0).matmul(spread(v)) };
};

/** Tables of cos and sin over the positions that occur. */
const rotary: Layer = ({ query, key, position }, { options }) => {
  const { theta, d } = options as { theta: number; d: number };
  const [batch, length] = position!.shape as [number, number];
  const frequencies = tensor(Array.from({ length: d / 2 }, (_, i) => theta ** ((-2 * i) / d)));
  const angles = position!
    .cast("f32")
    .reshape([batch * length, 1])
    .mul(frequencies);
  const positions = arange(batch * length).reshape([batch, length]);
  const turn = (x: Tensor) => rope({ x, cos: angles.cos(), sin: angles.sin(), positions });
  return { query: turn(query!), key: turn(key!) };
};

const adamW: Layer = ({ start, grads }, { options }) => {
  const {
    lr = 1e-3,
    betas = [0.9, 0.999],
    eps = 1e-8,
    weight_decay: weightDecay = 0.01,
  } = options as Partial<Record<"lr" | "eps" | "weight_decay", number> & { betas: [number, number] }>;
  let state = { param: start!, m: start!.zerosLike(), v: start!.zerosLike() };
  const path: Tensor[] = [];
  for (const [i, grad] of grads!.split(0, grads!.shape[0]!).entries()) {
    state = adamw({ ...state, grad: grad.squeeze(0), lr, step: i + 1 }, { beta1: betas[0], beta2: betas[1], eps, weightDecay });
    path.push(state.param);
  }
  return { parameters: Tensor.stack(path), exp_avg: state.m, exp_avg_sq: state.v };
};

const layers: Readonly<Record<string, Layer>> = {
  adamw: adamW,
  norms,
  rope: rotary,
  scaled_dot_product_attention: scaledDotProductAttention,
};

/** Whether a module of a `layers/` directory can be run here. */
export const isKnownLayer = ({ name }: ParityModule): boolean => Object.hasOwn(layers, name);
export const knownLayers = (): readonly string[] => Object.keys(layers);

/** Runs every case of a module on the default device, forward and backward. */
export async function runLayer(module: ParityModule): Promise<OutputResult[]> {
  const results: OutputResult[] = [];
  for (const one of module.cases) {
    const made = await outputsOf(one, layers[module.name]!);
    for (const output of one.expected) results.push(resultOf(output, made.get(output.name), `${module.name}.${one.name}.${output.name}`));
  }
  return results;
}

async function outputsOf(one: ParityCase, layer: Layer): Promise<Map<string, Made>> {
  const inputs = placed(one.inputs);
  const cotangents = placed(one.cotangents);
  const out = new Map<string, Made>();
  const add = async (name: string, value: Tensor) => out.set(name, { shape: value.shape, data: await value.data() });
  const names = Object.keys(cotangents);
  if (names.length === 0) {
    for (const [name, value] of Object.entries(layer(inputs, one))) await add(`outputs.${name}`, value);
    return out;
  }
  const wrt = Object.fromEntries(Object.entries(inputs).filter(([, input]) => input.dtype === "f32"));
  const { value, gradients } = vjp(() => names.map((name) => layer(inputs, one)[name]!), wrt, Object.values(cotangents));
  for (const [i, name] of names.entries()) await add(`outputs.${name}`, value[i]!);
  for (const [name, gradient] of Object.entries(gradients)) await add(`grads.${name}`, gradient);
  return out;
}
