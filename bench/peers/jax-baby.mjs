/** The training step of `baby` in jax-js: loss, gradients and AdamW in one jitted function. */
import { baby, babyBatch, babyShapes, curveSteps } from "../src/baby.ts";
import { timed } from "../src/competitor.ts";

export async function prepareBaby(jax, inputs, seed) {
  const { numpy: np, tree, jit, blockUntilReady } = jax;
  const shapes = babyShapes();
  const zeros = () => Object.fromEntries(shapes.map(([name, shape]) => [name, np.zeros(shape)]));
  let params = Object.fromEntries(shapes.map(([name, shape]) => [name, np.array(inputs[name], { shape })]));
  let [first, second] = [zeros(), zeros()];
  const update = jit(updateFunction(jax, shapes));
  let step = 0;

  const train = async () => {
    const { x, y } = babyBatch(step, seed);
    step++;
    const tokens = (values) => np.array(values, { shape: [baby.batch, baby.context], dtype: np.int32 });
    const corrections = np.array(Float32Array.of(1 - baby.beta1 ** step, 1 - baby.beta2 ** step));
    let loss;
    ({ params, first, second, loss } = update(params, first, second, tokens(x), tokens(y), corrections));
    await blockUntilReady([params, first, second]);
    return (await loss.data())[0];
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

function updateFunction({ numpy: np, valueAndGrad, nn }, shapes) {
  const lossAndGrad = valueAndGrad((params, x, y) => loss({ np, nn }, params, x, y));
  return (params, first, second, x, y, corrections) => {
    const kept = Object.fromEntries(shapes.map(([name]) => [name, params[name].ref]));
    const [value, grads] = lossAndGrad(params, x, y);
    const squares = shapes.map(([name]) => np.sum(np.square(grads[name].ref)));
    const norm = np.sqrt(squares.reduce((sum, each) => sum.add(each)));
    const clip = np.minimum(np.array(baby.clip).div(norm.add(1e-6)), 1);
    const [correction1, correction2] = np.split(corrections, 2);
    const out = { params: {}, first: {}, second: {}, loss: value };
    for (const [name, shape] of shapes) {
      const grad = grads[name].mul(clip.ref);
      const m = first[name].mul(baby.beta1).add(grad.ref.mul(1 - baby.beta1));
      const v = second[name].mul(baby.beta2).add(np.square(grad).mul(1 - baby.beta2));
      const scale = np.sqrt(v.ref.div(correction2.ref)).add(baby.eps);
      const change = m.ref.div(correction1.ref).div(scale).mul(baby.rate);
      const decayed = kept[name].mul(shape.length > 1 ? 1 - baby.rate * baby.decay : 1);
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

function loss({ np, nn }, params, x, y) {
  const { batch, context, dim, heads, vocabulary } = baby;
  const width = dim / heads;
  const norm = (h, name) => {
    return nn.standardize(h, -1, { epsilon: baby.normEps }).mul(params[`${name}.weight`]).add(params[`${name}.bias`]);
  };
  const linear = (h, name) => np.matmul(h, params[name]).add(params[`${name}.bias`]);
  let h = np.matmul(nn.oneHot(x.reshape([batch * context]), vocabulary), params.tokens.ref);
  h = h
    .reshape([batch, context, dim])
    .add(params.positions)
    .reshape([batch * context, dim]);
  for (let i = 0; i < baby.layers; i++) {
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
