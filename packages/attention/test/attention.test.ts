import { RMSNorm } from "@x/norm";
import { softmax } from "@x/ops";
import { RotaryPositions } from "@x/posenc";
import { arange, Generator, randn, reference, setDefaultDevice, Tensor, tensor, valueAndGrad, withGenerator } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { type AttentionOptions, CrossAttention, SelfAttention } from "../src/index.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));

const make = (options: Partial<AttentionOptions> = {}): SelfAttention =>
  withGenerator(new Generator({ seed: 1, device }), () => new SelfAttention({ dim: 12, numHeads: 6, causal: true, ...options }));
const close = { atol: 2e-6, rtol: 1e-5 };

/** Attention as it is written in books: one head at a time, key and value heads repeated in groups. */
function bookAttention(layer: SelfAttention, x: Tensor, positions?: Tensor): Tensor {
  const { numHeads, numKvHeads, headDim } = layer;
  const [batch, length] = x.shape as [number, number, number];
  const head = (projected: Tensor, i: number) => projected.slice(2, i * headDim, (i + 1) * headDim).reshape([batch, 1, length, headDim]);
  const norm = (part: Tensor, by: { forward(x: Tensor): Tensor } | undefined) => (by ? by.forward(part) : part);
  const turn = (part: Tensor) => (layer.rotation ? layer.rotation.forward(part, positions!) : part);
  const [q, k, v] = [layer.query, layer.key, layer.value].map((linear) => linear.forward(x)) as [Tensor, Tensor, Tensor];
  const seen = arange(length).le(arange(length).reshape([length, 1]));
  const outs = Array.from({ length: numHeads }, (_, h) => {
    const shared = Math.floor(h / (numHeads / numKvHeads));
    // Of a norm over all heads together, each head is a part.
    const [wide, narrow] = layer.normOver === "heads" ? [layer.queryNorm, layer.keyNorm] : [undefined, undefined];
    const qh = turn(wide ? head(norm(q, wide), h) : norm(head(q, h), layer.queryNorm));
    const kh = turn(narrow ? head(norm(k, narrow), shared) : norm(head(k, shared), layer.keyNorm));
    const scores = qh.matmul(kh.transpose()).mul(layer.scale);
    const weights = softmax({ x: layer.causal ? seen.expand(scores.shape).where(scores, -1e30) : scores });
    return weights.matmul(head(v, shared)).reshape([batch, length, headDim]);
  });
  return layer.output.forward(Tensor.concat(outs, 2));
}

describe("self-attention is what the books say", () => {
  const cases: Record<string, () => SelfAttention> = {
    "with a head of keys for each of queries": () => make(),
    "with key-value heads shared by groups": () => make({ numKvHeads: 2 }),
    "with one key-value head": () => make({ numKvHeads: 1 }),
    "with heads wider than dim / numHeads, no biases, a scale of its own": () =>
      make({ numKvHeads: 3, headDim: 10, bias: false, scale: 0.7 }),
    "seeing everything": () => make({ causal: false }),
    "with norms on heads, then rotation": () => {
      const layer = make({
        headDim: 8,
        numKvHeads: 2,
        rotation: new RotaryPositions({ headDim: 8, maxLength: 32 }),
        queryNorm: new RMSNorm({ dim: 8 }),
        keyNorm: new RMSNorm({ dim: 8 }),
      });
      // Weights that differ within a pair: norm and rotation do not commute.
      for (const norm of [layer.queryNorm, layer.keyNorm] as RMSNorm[])
        norm.weight.write(Array.from({ length: 8 }, (_, i) => 0.5 + 0.3 * i));
      return layer;
    },
    "with norms over all heads together": () => {
      const layer = make({ numKvHeads: 2, queryNorm: new RMSNorm({ dim: 12 }), keyNorm: new RMSNorm({ dim: 4 }), normOver: "heads" });
      for (const norm of [layer.queryNorm, layer.keyNorm] as RMSNorm[])
        norm.weight.write(Array.from({ length: norm.weight.shape[0]! }, (_, i) => 0.5 + 0.3 * i));
      return layer;
    },
  };
  test.each(Object.entries(cases))("%s", async (_, of) => {
    const layer = of();
    const x = randn([2, 7, 12]);
    const positions = tensor(Int32Array.of(0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 1, 2, 3, 4), { shape: [2, 7] });
    const options = layer.rotation ? { positions } : {};
    await expect(layer.forward(x, options)).toBeCloseToTensor(bookAttention(layer, x, positions), close);
    const parameters = layer.parameters();
    const loss = (y: Tensor) => y.square().sum();
    const ours = valueAndGrad(() => loss(layer.forward(x, options)), parameters).gradients;
    const theirs = valueAndGrad(() => loss(bookAttention(layer, x, positions)), parameters).gradients;
    for (const [i, gradient] of ours.entries()) await expect(gradient).toBeCloseToTensor(theirs[i]!, { atol: 2e-5, rtol: 1e-4 });
  });

  test("sharing heads is the same as having equal ones", async () => {
    const shared = make({ numKvHeads: 2 });
    const whole = make();
    for (const name of ["query", "key", "value", "output"] as const)
      for (const part of ["weight", "bias"] as const) {
        const source = shared[name][part]!.value;
        const rows = Array.from({ length: whole[name][part]!.shape[0]! }, (_, row) => Math.floor(row / 6) * 2 + (row % 2));
        const repeats = name === "key" || name === "value";
        whole[name][part]!.set(repeats ? source.take(tensor(Int32Array.from(rows)), 0) : source);
      }
    const x = randn([1, 5, 12]);
    await expect(shared.forward(x)).toBeCloseToTensor(whole.forward(x), close);
  });

  test("a left-padded row is the row without its padding, and padding sends nothing that is no number", async () => {
    const layer = make({ numKvHeads: 3 });
    const row = randn([1, 4, 12]);
    const padded = Tensor.concat([randn([1, 3, 12]), row], 1);
    const keyMask = tensor([[false, false, false, true, true, true, true]]);
    const y = layer.forward(padded, { keyMask });
    await expect(y.slice(1, 3, 7)).toBeCloseToTensor(layer.forward(row), close);
    expect([...(await y.data())].every(Number.isFinite)).toBe(true);
  });
});

describe("cross-attention", () => {
  test("looks at a memory of another width and length, without causality", async () => {
    const layer = withGenerator(new Generator({ seed: 2, device }), () => new CrossAttention({ dim: 12, numHeads: 3, memoryDim: 5 }));
    const [x, memory] = [randn([2, 3, 12]), randn([2, 6, 5])];
    const split = (t: Tensor, length: number) => t.reshape([2, length, 3, 4]).permute([0, 2, 1, 3]);
    const [q, k, v] = [split(layer.query.forward(x), 3), split(layer.key.forward(memory), 6), split(layer.value.forward(memory), 6)];
    const o = softmax({ x: q.matmul(k.transpose()).mul(0.5) }).matmul(v);
    const expected = layer.output.forward(o.permute([0, 2, 1, 3]).reshape([2, 3, 12]));
    await expect(layer.forward(x, memory)).toBeCloseToTensor(expected, close);
  });

  test("a masked part of the memory is as if it were not there", async () => {
    const layer = withGenerator(new Generator({ seed: 2, device }), () => new CrossAttention({ dim: 12, numHeads: 3, numKvHeads: 1 }));
    const [x, memory] = [randn([1, 3, 12]), randn([1, 4, 12])];
    const longer = Tensor.concat([memory, randn([1, 2, 12])], 1);
    const keyMask = tensor([[true, true, true, true, false, false]]);
    await expect(layer.forward(x, longer, { keyMask })).toBeCloseToTensor(layer.forward(x, memory), close);
  });
});

describe("misuse", () => {
  test("sizes that do not fit are refused when the layer is made", () => {
    expect(() => make({ numHeads: 5 })).toThrow("SelfAttention: dim 12 must be a multiple of numHeads 5, or headDim be given");
    expect(() => make({ numKvHeads: 4 })).toThrow("SelfAttention: numHeads 6 must be a multiple of numKvHeads 4");
    expect(() => make({ numHeads: 0 })).toThrow("numHeads must be a positive integer, got 0");
    expect(() => make({ numKvHeads: -1 })).toThrow("numKvHeads must be a positive integer, got -1");
    expect(() => make({ headDim: 2.5 })).toThrow("headDim must be a positive integer, got 2.5");
    expect(() => make({ scale: Number.NaN })).toThrow("scale must be a finite number");
  });

  test("inputs of another shape, and a rotation without positions, are told with the layer's name", () => {
    expect(() => make().forward(randn([2, 3, 11]))).toThrow(/SelfAttention/);
    expect(() => make().forward(randn([3, 12]))).toThrow("SelfAttention: x must be [batch, length, 12], got [3, 12]");
    const turning = make({ headDim: 8, rotation: new RotaryPositions({ headDim: 8, maxLength: 4 }) });
    expect(() => turning.forward(randn([1, 3, 12]))).toThrow("positions are needed for its rotation");
    const cross = new CrossAttention({ dim: 12, numHeads: 2, memoryDim: 5 });
    expect(() => cross.forward(randn([1, 3, 12]), randn([1, 3, 4]))).toThrow(
      "CrossAttention: memory must be [batch, length, 5], got [1, 3, 4]",
    );
  });
});
