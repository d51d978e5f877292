/** A training step in jax-js: loss, gradients and AdamW in one jitted function. */

import { timed } from "../src/competitor.ts";
import { curveSteps, gptBatch, gptShapes, training } from "../src/gpt.ts";

export async function prepareGPT(jax, { sizes }, inputs, seed) {
  const { numpy: np, tree, jit } = jax;
  const shapes = gptShapes(sizes);
  const zeros = () => Object.fromEntries(shapes.map(([name, shape]) => [name, np.zeros(shape)]));
  let params = Object.fromEntries(shapes.map(([name, shape]) => [name, np.array(inputs[name], { shape })]));
  let [first, second] = [zeros(), zeros()];
  const update = jit(updateFunction(jax, sizes, shapes));
  let step = 0;

  const train = async () => {
    const { x, y } = gptBatch(sizes, step, seed);
    step++;
    const tokens = (values) => np.array(values, { shape: [sizes.batch, sizes.context], dtype: np.int32 });
    const corrections = np.array(Float32Array.of(1 - training.beta1 ** step, 1 - training.beta2 ** step));
    let loss;
    ({ params, first, second, loss } = update(params, first, second, tokens(x), tokens(y), corrections));
    return (await loss.data())[0]; // runs all that the jitted call left pending, the updates too
  };
  return {
    async output() {
      const losses = [];
      while (step < curveSteps) losses.push(await train());
      return Float32Array.from(losses);
    },
    sample: timed(train),
    close: () => tree.dispose([params, first, second]),
  };
}

function updateFunction({ numpy: np, valueAndGrad, nn }, sizes, shapes) {
  const lossAndGrad = valueAndGrad((params, x, y) => loss({ np, nn }, sizes, params, x, y));
  return (params, first, second, x, y, corrections) => {
    const kept = Object.fromEntries(shapes.map(([name]) => [name, params[name].ref]));
    const [value, grads] = lossAndGrad(params, x, y);
    const squares = shapes.map(([name]) => np.sum(np.square(grads[name].ref)));
    const norm = np.sqrt(squares.reduce((sum, each) => sum.add(each)));
    const clip = np.minimum(np.array(training.clip).div(norm.add(1e-6)), 1);
    const [correction1, correction2] = np.split(corrections, 2);
    const out = { params: {}, first: {}, second: {}, loss: value };
    for (const [name, shape] of shapes) {
      const grad = grads[name].mul(clip.ref);
      const m = first[name].mul(training.beta1).add(grad.ref.mul(1 - training.beta1));
      const v = second[name].mul(training.beta2).add(np.square(grad).mul(1 - training.beta2));
      const scale = np.sqrt(v.ref.div(correction2.ref)).add(training.eps);
      const change = m.ref.div(correction1.ref).div(scale).mul(training.rate);
      const decayed = kept[name].mul(shape.length > 1 ? 1 - training.rate * training.decay : 1);
      out.params[name] = decayed.sub(change);
      out.first[name] = m;
      out.second[name] = v;
    }
    clip.dispose();
    correction1.dispose();
    correction2.dispose();
    return out;
  };
}

function loss({ np, nn }, { layers, batch, context, dim, heads, vocabulary }, params, x, y) {
  const width = dim / heads;
  const norm = (h, name) => {
    return nn.standardize(h, -1, { epsilon: training.normEps }).mul(params[`${name}.weight`]).add(params[`${name}.bias`]);
  };
  const linear = (h, name) => np.matmul(h, params[name]).add(params[`${name}.bias`]);
  let h = np.matmul(nn.oneHot(x.reshape([batch * context]), vocabulary), params.tokens.ref);
  h = h
    .reshape([batch, context, dim])
    .add(params.positions)
    .reshape([batch * context, dim]);
  for (let i = 0; i < layers; i++) {
    const qkv = linear(norm(h.ref, `${i}.norm1`), `${i}.qkv`).reshape([batch, context, 3 * heads, width]);
    const [query, key, value] = np.split(qkv, 3, 2);
    const mixed = nn.dotProductAttention(query, key, value, { isCausal: true }).reshape([batch * context, dim]);
    h = h.add(linear(mixed, `${i}.out`));
    h = h.ref.add(linear(nn.gelu(linear(norm(h, `${i}.norm2`), `${i}.up`), { approximate: true }), `${i}.down`));
  }
  const logits = np.matmul(norm(h, "norm"), params.tokens.transpose());
  const picked = nn.logSoftmax(logits, -1).mul(nn.oneHot(y.reshape([batch * context]), vocabulary));
  return np.sum(picked).mul(-1 / (batch * context));
}
