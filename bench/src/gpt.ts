import { uniform } from "./workloads.ts";

/** Sizes of a model whose training step is measured, and of its batches: `[batch, context]` tokens. */
export interface GPTSizes {
  layers: number;
  heads: number;
  dim: number;
  context: number;
  batch: number;
  vocabulary: number;
}

/**
 * What all of them share: a GPT-2 with pre-norm blocks, learned positions, biases, GELU by tanh, a head tied to the
 * token embedding, no dropout; AdamW at a constant rate, decay on matrices only, gradients clipped to a global norm
 * of `clip`. Loss: mean cross-entropy over all tokens.
 */
export const training = {
  normEps: 1e-5,
  rate: 1e-3,
  beta1: 0.9,
  beta2: 0.99,
  eps: 1e-8,
  decay: 0.1,
  clip: 1.0,
} as const;

/** Steps whose losses are compared between the competitors. */
export const curveSteps = 10;

/** Parameter names and shapes in order. Linear weights are `[in, out]`; `qkv` holds queries, keys and values in that order. */
export function gptShapes({ layers, dim, vocabulary, context }: GPTSizes): [name: string, shape: number[]][] {
  const shapes: [string, number[]][] = [
    ["tokens", [vocabulary, dim]],
    ["positions", [context, dim]],
  ];
  for (let i = 0; i < layers; i++) {
    shapes.push([`${i}.norm1.weight`, [dim]], [`${i}.norm1.bias`, [dim]]);
    shapes.push([`${i}.qkv`, [dim, 3 * dim]], [`${i}.qkv.bias`, [3 * dim]]);
    shapes.push([`${i}.out`, [dim, dim]], [`${i}.out.bias`, [dim]]);
    shapes.push([`${i}.norm2.weight`, [dim]], [`${i}.norm2.bias`, [dim]]);
    shapes.push([`${i}.up`, [dim, 4 * dim]], [`${i}.up.bias`, [4 * dim]]);
    shapes.push([`${i}.down`, [4 * dim, dim]], [`${i}.down.bias`, [dim]]);
  }
  shapes.push(["norm.weight", [dim]], ["norm.bias", [dim]]);
  return shapes;
}

/** The batch of step `step` (from 0): `x` and `y` are `[batch, context]`, `y` the token after each `x`. */
export function gptBatch({ batch, context, vocabulary }: GPTSizes, step: number, seed: number): { x: Int32Array; y: Int32Array } {
  const random = uniform(seed * 1_000_003 + step);
  const x = new Int32Array(batch * context);
  const y = new Int32Array(batch * context);
  for (let row = 0; row < batch; row++) {
    let token = Math.floor(random() * vocabulary);
    for (let i = 0; i < context; i++) {
      x[row * context + i] = token;
      token = (7 * token + Math.floor(3 * random())) % vocabulary;
      y[row * context + i] = token;
    }
  }
  return { x, y };
}
