import { arange, reference, setDefaultDevice, Tensor, tensor, vjp } from "@x/tensor";
import type { ParityCase } from "@x/testing";
import { beforeAll, describe, expect, test } from "vitest";
import * as ops from "../src/index.ts";
import { expectClose, placed, readCases } from "./fixture.ts";

beforeAll(() => setDefaultDevice(reference()));

type Named = Readonly<Record<string, Tensor>>;
/** Outputs by their names in the fixture, from its inputs and options. */
type Layer = (inputs: Named, one: ParityCase) => Named;

/** Compares outputs, and gradients with respect to inputs under the fixture's cotangents. */
async function check(one: ParityCase, layer: Layer): Promise<void> {
  const inputs = placed(one.inputs);
  const cotangents = placed(one.cotangents);
  const wrt = Object.fromEntries(Object.entries(inputs).filter(([, input]) => input.dtype === "f32"));
  const names = Object.keys(cotangents);
  const { value, gradients } = vjp(() => names.map((name) => layer(inputs, one)[name]!), wrt, Object.values(cotangents));
  for (const [i, name] of names.entries()) await expectClose(one, `outputs.${name}`, value[i]!);
  for (const [name, gradient] of Object.entries(gradients)) await expectClose(one, `grads.${name}`, gradient);
}

const norm: Layer = ({ x, weight, bias }, { name, options }) => ({
  output: name.startsWith("layer_norm") ? ops.layerNorm({ x: x!, weight, bias }, options) : ops.rmsNorm({ x: x!, weight }, options),
});

const activation: Layer = ({ x, gate, up }, { name }) => {
  const { gelu, gelu_tanh, silu, relu } = { ...ops, gelu_tanh: ops.geluTanh };
  if (name === "swiglu") return { output: ops.swiglu({ gate: gate!, up: up! }) };
  return { output: { gelu, gelu_tanh, silu, relu }[name]!({ x: x! }) };
};

const crossEntropy: Layer = ({ logits, target }, { options }) => {
  const { reduction = "mean", ignore_index: ignoreIndex = -100 } = options as { reduction?: string; ignore_index?: number };
  if (reduction === "mean") return { output: ops.meanCrossEntropy(logits!, target!, { ignoreIndex }) };
  const loss = ops.crossEntropy({ logits: logits!, targets: target! }, { ignoreIndex });
  return { output: reduction === "sum" ? loss.sum() : loss };
};

const attention: Layer = ({ query, key, value, bool_mask: mask }, { options }) => {
  const { is_causal: isCausal = false, scale = query!.shape[3]! ** -0.5 } = options as { is_causal?: boolean; scale?: number };
  // A mask here is left padding and causal: its last row is the key mask.
  const keyMask = mask
    ?.slice(2, mask.shape[2]! - 1, mask.shape[2]!)
    .reshape([mask.shape[0]!, mask.shape[3]!])
    .ne(0);
  return { output: ops.attention({ q: query!, k: key!, v: value!, keyMask }, { scale, causal: isCausal || keyMask !== undefined }) };
};

/** Tables of cos and sin over the positions that occur, frequencies from the part that turns. */
function rope({ query, key, position }: Named, { options }: ParityCase): Named {
  const { theta, d } = options as unknown as { theta: number; d: number };
  const [batch, length] = position!.shape as [number, number];
  const frequencies = tensor(Array.from({ length: d / 2 }, (_, i) => theta ** ((-2 * i) / d)));
  const angles = position!
    .cast("f32")
    .reshape([batch * length, 1])
    .mul(frequencies);
  const positions = arange(batch * length).reshape([batch, length]);
  const turn = (x: Tensor) => ops.rope({ x, cos: angles.cos(), sin: angles.sin(), positions });
  return { query: turn(query!), key: turn(key!) };
}

const softmax: Layer = ({ x }, { name }) => ({ output: name.startsWith("log") ? ops.logSoftmax({ x: x! }) : ops.softmax({ x: x! }) });
const embedding: Layer = ({ weight, ids }) => ({ output: ops.embedding({ table: weight!, indices: ids! }) });

const files: Readonly<Record<string, Layer>> = {
  activations: activation,
  cross_entropy: crossEntropy,
  embedding,
  norms: norm,
  rope,
  scaled_dot_product_attention: attention,
  softmax,
};
const names = [...Object.keys(files), "adamw"];
const cases = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readCases(name)] as const)));
/** Masks that are no key masks: attention takes none. */
const inexpressible = ["mask", "bool_mask", "empty_rows"];

describe.each(Object.entries(files))("torch: %s", (file, layer) => {
  for (const one of cases[file]!) if (!inexpressible.includes(one.name)) test(one.name, () => check(one, layer));
});

describe("torch: adamw", () => {
  test.each(cases.adamw!)("$name", async (one) => {
    const {
      lr = 1e-3,
      betas = [0.9, 0.999],
      eps = 1e-8,
      weight_decay: weightDecay = 0.01,
    } = one.options as Partial<Record<"lr" | "eps" | "weight_decay", number> & { betas: [number, number] }>;
    const { start, grads } = placed(one.inputs) as { start: Tensor; grads: Tensor };
    let state = { param: start, m: start.zerosLike(), v: start.zerosLike() };
    const path: Tensor[] = [];
    for (const [i, grad] of grads.split(0, grads.shape[0]!).entries()) {
      state = ops.adamw({ ...state, grad: grad.squeeze(0), lr, step: i + 1 }, { beta1: betas[0], beta2: betas[1], eps, weightDecay });
      path.push(state.param);
    }
    await expectClose(one, "outputs.parameters", Tensor.stack(path));
    await expectClose(one, "outputs.exp_avg", state.m);
    await expectClose(one, "outputs.exp_avg_sq", state.v);
    expect(path.length).toBeGreaterThan(4);
  });
});
