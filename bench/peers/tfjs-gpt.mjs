/** A training step in tfjs: variables, `variableGrads`, and AdamW from tfjs's operations. */

import { timed } from "../src/competitor.ts";
import { curveSteps, gptBatch, gptShapes, training } from "../src/gpt.ts";
import { gelu, layerNorm } from "./tfjs.mjs";

export async function prepareGPT(tf, { sizes }, inputs, seed) {
  const shapes = gptShapes(sizes);
  const variables = (make) => Object.fromEntries(shapes.map(([name, shape]) => [name, tf.variable(make(name, shape))]));
  const params = variables((name, shape) => tf.tensor(inputs[name], shape));
  const byId = new Map(shapes.map(([name]) => [params[name].name, name]));
  const [first, second] = [0, 1].map(() => variables((_, shape) => tf.zeros(shape)));
  const mask = tf.linalg
    .bandPart(tf.ones([sizes.context, sizes.context]), -1, 0)
    .sub(1)
    .mul(1e9);
  let step = 0;

  const update = () =>
    tf.tidy(() => {
      const { x, y } = gptBatch(sizes, step, seed);
      step++;
      const { value, grads } = tf.variableGrads(() => loss(tf, sizes, params, mask, x, y));
      const named = Object.entries(grads).map(([id, grad]) => [byId.get(id), grad]);
      const norm = tf.addN(named.map(([, grad]) => grad.square().sum())).sqrt();
      const clip = tf.minimum(tf.div(training.clip, norm.add(1e-6)), 1);
      for (const [name, raw] of named) adamW(params[name], first[name], second[name], raw.mul(clip), step);
      return value;
    });
  const train = async () => {
    const value = update();
    const [read] = await value.data(); // on WebGPU this waits for all that was recorded before it
    value.dispose();
    return read;
  };
  return {
    threads: 1,
    async output() {
      const losses = [];
      while (step < curveSteps) losses.push(await train());
      return Float32Array.from(losses);
    },
    sample: timed(train),
  };
}

function adamW(param, first, second, grad, step) {
  const m = first.mul(training.beta1).add(grad.mul(1 - training.beta1));
  const v = second.mul(training.beta2).add(grad.square().mul(1 - training.beta2));
  first.assign(m);
  second.assign(v);
  const scale = v
    .sqrt()
    .mul(1 / Math.sqrt(1 - training.beta2 ** step))
    .add(training.eps);
  const change = m.div(scale).mul(training.rate / (1 - training.beta1 ** step));
  const decayed = param.rank > 1 ? param.mul(1 - training.rate * training.decay) : param;
  param.assign(decayed.sub(change));
}

function loss(tf, { layers, batch, context, dim, heads, vocabulary }, params, mask, x, y) {
  const { normEps } = training;
  const width = dim / heads;
  const norm = (h, name) => layerNorm(tf, h, params[`${name}.weight`], params[`${name}.bias`], normEps);
  const linear = (h, name) => tf.matMul(h, params[name]).add(params[`${name}.bias`]);
  const oneHot = (tokens) => tf.oneHot(tf.tensor1d(tokens, "int32"), vocabulary).toFloat();
  let h = tf.matMul(oneHot(x), params.tokens).reshape([batch, context, dim]).add(params.positions);
  h = h.reshape([batch * context, dim]);
  for (let i = 0; i < layers; i++) {
    const qkv = linear(norm(h, `${i}.norm1`), `${i}.qkv`);
    const [query, key, value] = tf.split(qkv, 3, 1).map((part) => {
      return part.reshape([batch, context, heads, width]).transpose([0, 2, 1, 3]);
    });
    const scores = tf
      .matMul(query, key, false, true)
      .mul(1 / Math.sqrt(width))
      .add(mask);
    const mixed = tf
      .matMul(tf.softmax(scores), value)
      .transpose([0, 2, 1, 3])
      .reshape([batch * context, dim]);
    h = h.add(linear(mixed, `${i}.out`));
    h = h.add(linear(gelu(linear(norm(h, `${i}.norm2`), `${i}.up`)), `${i}.down`));
  }
  const logits = tf.matMul(norm(h, "norm"), params.tokens, false, true);
  return tf
    .logSoftmax(logits)
    .mul(oneHot(y))
    .sum()
    .mul(-1 / (batch * context));
}
