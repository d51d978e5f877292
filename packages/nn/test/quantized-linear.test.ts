import { Generator, grad, Parameter, reference, setDefaultDevice, type Tensor, tensor, withGenerator } from "@x/tensor";
import { Stream } from "@x/testing";
import { beforeAll, describe, expect, test } from "vitest";
import { Embedding, Linear, loadStateDict, MLP, Module, QuantizedLinear, quantizeLinear, stateDict } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const normal = (name: string, ...shape: number[]) =>
  tensor(Float32Array.from(new Stream(name).normal(shape.reduce((a, b) => a * b, 1))), { shape });
const seeded = <R>(make: () => R): R => withGenerator(new Generator({ seed: 1 }), make);
const kinds = [
  { bits: 8, group: 32 },
  { bits: 4, group: 64, scales: "f16" },
] as const;

describe.each(kinds)("QuantizedLinear of $bits bits by $group", (how) => {
  const layer = () => seeded(() => new Linear({ inputDim: 70, outputDim: 9 }));

  test("is the layer it is taken from, within half a step for each input", async () => {
    const linear = layer();
    const made = await QuantizedLinear.from(linear, how);
    const x = normal("x", 5, 70);
    const [found, wanted, steps, numbers] = await Promise.all([
      made.forward(x).data(),
      linear.forward(x).data(),
      made.scales.data(),
      x.data(),
    ]);
    for (const [i, value] of found.entries()) {
      const [row, o] = [Math.floor(i / 9), i % 9];
      const bound = Array.from(
        { length: 70 },
        (_, k) => (Math.abs(numbers[row * 70 + k]!) * steps[o * made.scales.shape[1]! + Math.floor(k / how.group)]!) / 2,
      );
      expect(Math.abs(value - wanted[i]!)).toBeLessThan(bound.reduce((sum, one) => sum + one, 1e-5));
    }
    expect(made.bias).toBe(linear.bias);
  });

  test("multiplies with the numbers it tells, then applies activation and residual as Linear does", async () => {
    const made = await QuantizedLinear.from(layer(), how);
    const values = await made.numbers();
    const plain = new Linear({ inputDim: 70, outputDim: 9, init: () => values, biasInit: () => new Float32Array(9) });
    plain.bias!.set(made.bias!);
    const [x, residual] = [normal("x", 2, 3, 70), normal("residual", 2, 3, 9)];
    for (const options of [{}, { activation: "gelu", residual }] as const) {
      const [found, wanted] = await Promise.all([made, plain].map((layer) => layer.forward(x, options).data()));
      for (const [i, value] of found!.entries()) expect(value).toBeCloseTo(wanted![i]!, 5);
    }
  });

  test("comes back from its state dict", async () => {
    const made = await QuantizedLinear.from(layer(), how);
    const fresh = new QuantizedLinear({ inputDim: 70, outputDim: 9, ...how });
    expect(await fresh.forward(normal("x", 1, 70)).data()).toEqual(new Float32Array(9));
    const state = await stateDict(made);
    expect([...state.keys()]).toEqual(["weight", "scales", "zeros", "bias"]);
    loadStateDict(fresh, state);
    expect(await fresh.forward(normal("x", 1, 70)).data()).toEqual(await made.forward(normal("x", 1, 70)).data());
  });

  test("trains its bias alone, and lets gradients through", async () => {
    const made = await QuantizedLinear.from(layer(), how);
    expect([...made.namedParameters().keys()]).toEqual(["bias"]);
    const x = normal("x", 3, 70);
    const dx = grad(() => made.forward(x).sum(), x);
    const values = await made.numbers();
    const column = Array.from({ length: 70 }, (_, k) => Array.from({ length: 9 }, (_, o) => values[o * 70 + k]!).reduce((a, b) => a + b));
    for (const [i, value] of (await dx.data()).entries()) expect(value).toBeCloseTo(column[i % 70]!, 5);
    expect(await grad(() => made.forward(x).sum(), made.bias!).data()).toEqual(new Float32Array(9).fill(3));
  });
});

class Net extends Module {
  readonly table = new Embedding({ vocabSize: 5, dim: 8 });
  readonly mlp = new MLP({ dim: 8, hiddenDim: 16 });
  readonly layers = [new Linear({ inputDim: 8, outputDim: 8 }), this.mlp.input];
  readonly byName = new Map([["head", new Linear({ inputDim: 8, outputDim: 5, bias: false })]]);

  forward(ids: Tensor): Tensor {
    const x = this.mlp.forward(this.table.forward(ids));
    return this.byName.get("head")!.forward(this.layers[0]!.forward(x));
  }
}

describe("quantizeLinear", () => {
  const ids = () => tensor(Int32Array.of(1, 4), { dtype: "i32" });

  test("replaces every Linear wherever it stands, a shared one once, and gives their memory back", async () => {
    const net = seeded(() => new Net());
    const wanted = await net.forward(ids()).data();
    const { weight } = net.mlp.output;
    const paths = await quantizeLinear(net, { bits: 8, group: 32 });
    expect(paths).toEqual(["mlp.input", "mlp.output", "layers.0", "layers.1", "byName.head"]);
    expect(net.layers[1]).toBe(net.mlp.input);
    expect(net.mlp.input).toBeInstanceOf(QuantizedLinear);
    for (const [i, value] of (await net.forward(ids()).data()).entries()) expect(value).toBeCloseTo(wanted[i]!, 1);
    expect(() => weight.value).toThrow(/memory was given back/);
    expect([...net.namedParameters().keys()]).toContain("table.weight");
  });

  test("takes those that are chosen, and leaves a weight that stands elsewhere", async () => {
    const net = seeded(() => new Net());
    const tied = new Linear({ inputDim: 8, outputDim: 5 });
    Object.assign(tied, { weight: net.table.weight });
    net.byName.set("head", tied);
    expect(await quantizeLinear(net, { bits: 4, group: 32, where: (path) => path === "byName.head" })).toEqual(["byName.head"]);
    expect(net.mlp.input).toBeInstanceOf(Linear);
    expect(net.table.weight).toBeInstanceOf(Parameter);
    await net.forward(ids()).data();
  });

  test.each<[string, () => Promise<unknown>, RegExp]>([
    [
      "a model without any",
      () => quantizeLinear(new Embedding({ vocabSize: 2, dim: 2 }), { bits: 8, group: 32 }),
      /Embedding has no Linear/,
    ],
    ["other bits", () => quantizeLinear(new Net(), { bits: 2 as 4, group: 32 }), /bits must be 4 or 8, got 2/],
    ["a size", async () => new QuantizedLinear({ inputDim: 0, outputDim: 1, bits: 8, group: 32 }), /inputDim must be a positive integer/],
    [
      "a type of scales",
      async () => new QuantizedLinear({ inputDim: 1, outputDim: 1, bits: 8, group: 32, scales: "i8" as "f16" }),
      /scales must be one of f16, f32/,
    ],
  ])("refuses %s", (_, run, words) => expect(run()).rejects.toThrow(words));
});
