import { activations } from "@x/ops";
import { Generator, grad, reference, setDefaultDevice, type Tensor, TensorError, tensor, vjp, withGenerator } from "@x/tensor";
import { Stream } from "@x/testing";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { constant, Dropout, Embedding, GatedMLP, isTraining, Linear, MLP, SwiGLU, withTraining } from "../src/index.ts";

expect.extend(tensorMatchers);
beforeAll(() => setDefaultDevice(reference()));

const given = (values: readonly number[]) => () => values;
const normal = (name: string, ...shape: number[]) =>
  tensor(Float32Array.from(new Stream(name).normal(shape.reduce((a, b) => a * b, 1))), { shape });
const gelu = (x: number) => {
  // Phi by the series of erf, which converges for all x: enough for |x| < 4.
  let [sum, term] = [x / Math.SQRT2, x / Math.SQRT2];
  for (let n = 1; n < 80; n++) {
    term *= (-x * x) / 2 / n;
    sum += term / (2 * n + 1);
  }
  return 0.5 * x * (1 + (2 / Math.sqrt(Math.PI)) * sum);
};
const silu = (x: number) => x / (1 + Math.exp(-x));

describe("Linear", () => {
  const layer = () => new Linear({ inputDim: 3, outputDim: 2, init: given([1, 2, 3, 4, 5, 6]), biasInit: given([10, 20]) });
  const x = () =>
    tensor([
      [1, 0, -1],
      [2, 1, 0],
    ]);

  test("is x W^T + b with the weight as [outputDim, inputDim]", async () => {
    expect(await layer().forward(x()).array()).toEqual([
      [8, 18],
      [14, 33],
    ]);
  });

  test("adds the residual after the activation", async () => {
    const residual = tensor([
      [100, 200],
      [300, 400],
    ]);
    const small = new Linear({ inputDim: 3, outputDim: 2, init: given([1, 2, 3, 4, 5, 6]), bias: false });
    expect(await small.forward(x(), { activation: "relu", residual }).array()).toEqual([
      [100, 200],
      [304, 413],
    ]);
    expect(small.bias).toBeUndefined();
  });

  test("has the gradients of its formula: dx = dy W, dW = dy^T x, db = the sum of dy", async () => {
    const linear = layer();
    const dy = tensor([
      [1, -1],
      [2, 3],
    ]);
    const input = x();
    const { gradients } = vjp(() => [linear.forward(input)], [input, linear.weight, linear.bias!], [dy]);
    expect(await Promise.all(gradients.map((gradient: Tensor) => gradient.array()))).toEqual([
      [
        [-3, -3, -3],
        [14, 19, 24],
      ],
      [
        [5, 2, -1],
        [5, 3, 1],
      ],
      [3, 2],
    ]);
  });

  test("takes any number of leading axes", async () => {
    const linear = layer();
    const flat = normal("leading", 8, 3);
    await expect(linear.forward(flat.reshape([2, 1, 4, 3]))).toBeCloseToTensor(linear.forward(flat).reshape([2, 1, 4, 2]), {
      atol: 0,
      rtol: 0,
    });
    await expect(linear.forward(tensor([1, 0, -1]))).toBeCloseToTensor([8, 18]);
  });
});

describe("Embedding", () => {
  test("picks rows, and adds up gradients of rows that come twice", async () => {
    const table = new Embedding({ vocabSize: 3, dim: 2, init: given([1, 2, 3, 4, 5, 6]) });
    const ids = tensor(Int32Array.of(2, 0, 2), { shape: [1, 3] });
    expect(await table.forward(ids).array()).toEqual([
      [
        [5, 6],
        [1, 2],
        [5, 6],
      ],
    ]);
    const scale = tensor([[[1], [10], [100]]]);
    expect(await grad(() => table.forward(ids).mul(scale).sum(), table.weight).array()).toEqual([
      [10, 10],
      [0, 0],
      [101, 101],
    ]);
  });

  test("gives logits as an output layer, tied to its rows", async () => {
    const table = new Embedding({ vocabSize: 3, dim: 2, init: given([1, 2, 3, 4, 5, 6]) });
    expect(await table.attend(tensor([[[1, -1]]])).array()).toEqual([[[-1, -1, -1]]]);
    const ids = tensor(Int32Array.of(1), { shape: [1] });
    const tied = grad(() => table.attend(table.forward(ids)).sum(), table.weight);
    // Through the logits each row gets the input [3, 4]; row 1 gets the sum of all rows as well.
    expect(await tied.array()).toEqual([
      [3, 4],
      [3 + 9, 4 + 12],
      [3, 4],
    ]);
  });
});

describe("feed-forwards", () => {
  const x = [0.5, -1.5];

  test("MLP is output(activation(input(x))), with the exact gelu by default", async () => {
    const weights = [1, -1, 0.5, 2, -1, 0.25];
    const mlp = new MLP({ dim: 2, hiddenDim: 3, init: given(weights), outputInit: given([1, 2, 3, -1, 0, 1]), biasInit: constant(0.1) });
    const hidden = [0, 1, 2].map((i) => gelu(weights[2 * i]! * x[0]! + weights[2 * i + 1]! * x[1]! + 0.1));
    const expected = [hidden[0]! + 2 * hidden[1]! + 3 * hidden[2]! + 0.1, -hidden[0]! + hidden[2]! + 0.1];
    await expect(mlp.forward(tensor([x]))).toBeCloseToTensor([expected]);
    expect([...mlp.namedParameters().keys()]).toEqual(["input.weight", "input.bias", "output.weight", "output.bias"]);
  });

  test("SwiGLU is down(silu(gate(x)) * up(x)), without biases", async () => {
    const draw = [given([1, -1, 0.5, 2]), given([3, 1, -2, 1])];
    const layer = new SwiGLU({ dim: 2, hiddenDim: 2, init: () => draw.shift()!(), outputInit: given([1, 2, 3, 4]) });
    const hidden = [silu(x[0]! - x[1]!) * (3 * x[0]! + x[1]!), silu(0.5 * x[0]! + 2 * x[1]!) * (-2 * x[0]! + x[1]!)];
    await expect(layer.forward(tensor([x]))).toBeCloseToTensor([[hidden[0]! + 2 * hidden[1]!, 3 * hidden[0]! + 4 * hidden[1]!]]);
    expect([...layer.namedParameters().keys()]).toEqual(["gate.weight", "up.weight", "down.weight"]);
    expect(layer).toBeInstanceOf(GatedMLP);
  });

  test.each(["silu", "gelu", "relu", "geluTanh", "none"] as const)(
    "gated with %s has the gradients of the written-out formula",
    async (activation) => {
      const layer = new GatedMLP({ dim: 3, hiddenDim: 4, activation });
      const [input, dy] = [normal("gated", 5, 3), normal("upstream", 5, 3)];
      const { gate, up, down } = layer;
      const wrt = [input, gate.weight, up.weight, down.weight];
      const times = (a: Tensor, { weight }: Linear) => a.matmul(weight.value.transpose());
      const written = () => times(activations[activation](times(input, gate)).mul(times(input, up)), down);
      const [ours, theirs] = [layer.forward, written].map((fn) => vjp(() => [fn(input)], wrt, [dy]));
      await expect(ours!.value[0]!).toBeCloseToTensor(theirs!.value[0]!);
      for (const [i, gradient] of ours!.gradients.entries()) await expect(gradient).toBeCloseToTensor(theirs!.gradients[i]!);
    },
  );

  test("GatedMLP takes other activations", async () => {
    const layer = new GatedMLP({ dim: 1, hiddenDim: 1, activation: "gelu", init: given([2]) });
    await expect(layer.forward(tensor([[0.7]]))).toBeCloseToTensor([[2 * gelu(1.4) * 1.4]]);
  });
});

describe("training mode", () => {
  test("is off by default, nests, and ends with its body even when that throws", () => {
    expect(isTraining()).toBe(false);
    const seen = withTraining(true, () => [isTraining(), withTraining(false, isTraining), isTraining()]);
    expect(seen).toEqual([true, false, true]);
    expect(() =>
      withTraining(true, () => {
        throw new Error("stop");
      }),
    ).toThrow("stop");
    expect(isTraining()).toBe(false);
    expect(() => withTraining(true, async () => {})).toThrow("withTraining: the body returned a promise");
    expect(isTraining()).toBe(false);
  });

  test("turns dropout on: zeros at the rate p, the rest scaled, the same for the same seed", async () => {
    const dropout = new Dropout({ p: 0.25 });
    const x = tensor(new Float32Array(4000).fill(3));
    expect(dropout.forward(x)).toBe(x);
    const draw = (seed: number) => withGenerator(new Generator({ seed }), () => withTraining(true, () => dropout.forward(x)));
    const values = await draw(1).data();
    expect(new Set(values)).toEqual(new Set([0, 4]));
    const dropped = values.filter((value) => value === 0).length;
    expect(Math.abs(dropped / 4000 - 0.25)).toBeLessThan(0.03);
    expect(await draw(1).data()).toEqual(values);
    expect(await draw(2).data()).not.toEqual(values);
  });

  test("of a feed-forward drops elements of its result", async () => {
    const mlp = new MLP({ dim: 1, hiddenDim: 1, dropout: 1, biasInit: constant(5) });
    const x = tensor([[1]]);
    expect(await mlp.forward(x).item()).not.toBe(0);
    expect(await withTraining(true, () => mlp.forward(x)).item()).toBe(0);
  });
});

describe("options", () => {
  const bad = [0, -3, 2.5, Number.NaN, Number.POSITIVE_INFINITY];
  test.each(bad)("a size of %d is refused by name", (size) => {
    const message = `must be a positive integer, got ${size}.`;
    expect(() => new Linear({ inputDim: size, outputDim: 2 })).toThrow(`Linear: inputDim ${message}`);
    expect(() => new Linear({ inputDim: 2, outputDim: size })).toThrow(`Linear: outputDim ${message}`);
    expect(() => new Embedding({ vocabSize: size, dim: 2 })).toThrow(`Embedding: vocabSize ${message}`);
    expect(() => new Embedding({ vocabSize: 2, dim: size })).toThrow(`Embedding: dim ${message}`);
    expect(() => new MLP({ dim: size, hiddenDim: 2 })).toThrow(`MLP: dim ${message}`);
    expect(() => new GatedMLP({ dim: 2, hiddenDim: size })).toThrow(`GatedMLP: hiddenDim ${message}`);
    expect(() => new SwiGLU({ dim: 2, hiddenDim: size })).toThrow(`SwiGLU: hiddenDim ${message}`);
  });

  test("so are other types, unknown activations and rates that are no probabilities", () => {
    expect(() => new Linear({ inputDim: "3" as unknown as number, outputDim: 2 })).toThrow(
      'Linear: inputDim must be a positive integer, got "3".',
    );
    expect(() => new MLP({ dim: 2, hiddenDim: 2, activation: "gelu_new" as "gelu" })).toThrow(
      /^MLP: activation must be one of .*geluTanh.*, got "gelu_new"\.$/,
    );
    for (const p of [-0.1, 1.1, Number.NaN]) expect(() => new Dropout({ p })).toThrow(TensorError);
  });
});
