import { fileURLToPath } from "node:url";
import { openSafetensors } from "@x/checkpoint";
import { loadStateDict } from "@x/nn";
import { reference, setDefaultDevice, type Tensor, tensor, vjp, zeros } from "@x/tensor";
import { compareOutput, type ParityCase, readParityModule, Stream } from "@x/testing";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { L2Norm, LayerNorm, RMSNorm } from "../src/index.ts";

expect.extend(tensorMatchers);
beforeAll(() => setDefaultDevice(reference()));

const fixtures = fileURLToPath(new URL("../../../fixtures/layers", import.meta.url));
const { cases } = await readParityModule(fixtures, "norms", openSafetensors);
const normal = (name: string, ...shape: number[]) =>
  tensor(Float32Array.from(new Stream(name).normal(shape.reduce((a, b) => a * b, 1))), { shape });

/** The layer of a case with its parameters; ones and zeros where torch was given none. */
function layerOf({ name, options, inputs }: ParityCase): LayerNorm | RMSNorm {
  const [dim, eps] = [inputs.get("x")!.shape.at(-1)!, options.eps as number];
  const layer = name.startsWith("layer_norm") ? new LayerNorm({ dim, eps, bias: inputs.has("bias") }) : new RMSNorm({ dim, eps });
  const given = [...inputs]
    .filter(([argument]) => argument !== "x")
    .map(([argument, { shape, data }]) => [argument, { shape, values: data }] as const);
  loadStateDict(layer, new Map(given), { strict: given.length > 0 });
  return layer;
}

describe("as torch has it", () => {
  test.each(cases.map((one) => [one.name, one] as const))("%s", async (_, one) => {
    const layer = layerOf(one);
    const onDevice = ({ shape, data }: { shape: readonly number[]; data: ArrayLike<number> }) => tensor(Float32Array.from(data), { shape });
    const x = onDevice(one.inputs.get("x")!);
    const wrt = { x, ...Object.fromEntries(layer.namedParameters()) };
    const { value, gradients } = vjp(() => [layer.forward(x)], wrt, [onDevice(one.cotangents.get("output")!)]);
    const found: Record<string, Tensor> = { "outputs.output": value[0]! };
    for (const [name, gradient] of Object.entries(gradients)) found[`grads.${name}`] = gradient;
    for (const expected of one.expected) {
      const got = found[expected.name]!;
      const comparison = compareOutput({ shape: got.shape, data: await got.data() }, expected);
      expect(comparison.pass, `${expected.name}: ${comparison.report()}`).toBe(true);
    }
  });
});

describe("hard inputs", () => {
  test.each([1, 7, 64, 1025])("rows of %i: mean and variance are those of the definition", async (dim) => {
    const x = new Stream("rows").normal(3 * dim).map(Math.fround);
    const expected = [0, 1, 2].flatMap((row) => {
      const values = [...x.subarray(row * dim, (row + 1) * dim)];
      const mean = values.reduce((a, b) => a + b, 0) / dim;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / dim;
      return values.map((value) => (value - mean) / Math.sqrt(variance + 1e-5));
    });
    const y = new LayerNorm({ dim }).forward(tensor(Float32Array.from(x), { shape: [3, dim] }));
    await expect(y).toBeCloseToTensor(tensor(Float32Array.from(expected), { shape: [3, dim] }));
  });

  test("a constant row gives the bias exactly, and finite gradients", async () => {
    const layer = new LayerNorm({ dim: 5 });
    layer.bias!.write([1, 2, 3, 4, 5]);
    const x = tensor(new Float32Array(5).fill(1 / 3), { shape: [1, 5] });
    const { value, gradients } = vjp(() => [layer.forward(x)], x, [normal("constant", 1, 5)]);
    expect(await value[0]!.array()).toEqual([[1, 2, 3, 4, 5]]);
    expect((await gradients.data()).every(Number.isFinite)).toBe(true);
  });

  test("a row of zeros gives zeros, not NaN", async () => {
    expect(await new RMSNorm({ dim: 3 }).forward(zeros([2, 3])).array()).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
  });

  test("eps stands inside the root: a small row is scaled by 1 / sqrt(its mean square + eps)", async () => {
    const x = tensor([[3e-3, -4e-3]]);
    const scale = 1 / Math.sqrt(12.5e-6 + 1e-4);
    await expect(new RMSNorm({ dim: 2, eps: 1e-4 }).forward(x)).toBeCloseToTensor([[3e-3 * scale, -4e-3 * scale]]);
    const inner = 3.5e-3 / Math.sqrt(12.25e-6 + 1e-4);
    await expect(new LayerNorm({ dim: 2, eps: 1e-4 }).forward(x)).toBeCloseToTensor([[inner, -inner]]);
  });

  test("RMS norm does not subtract the mean; layer norm does not see a shift", async () => {
    const x = normal("shift", 2, 8);
    const [layer, rms] = [new LayerNorm({ dim: 8 }), new RMSNorm({ dim: 8 })];
    await expect(layer.forward(x.add(3))).toBeCloseToTensor(layer.forward(x), { atol: 1e-5 });
    const sum = await rms.forward(x.add(3)).mean(-1).data();
    expect([...sum].every((mean) => mean > 0.5)).toBe(true);
  });

  test("a last axis of another width is refused", () => {
    expect(() => new LayerNorm({ dim: 4 }).forward(zeros([2, 3]))).toThrow(
      "LayerNorm: layerNorm: weight must be [3] to match x [2, 3], got [4].",
    );
    expect(() => new RMSNorm({ dim: 4 }).forward(zeros([2, 3]))).toThrow(
      "RMSNorm: rmsNorm: weight must be [3] to match x [2, 3], got [4].",
    );
  });
});

describe("addNorm", () => {
  test.each([
    ["LayerNorm", () => new LayerNorm({ dim: 6, eps: 0.3 })],
    ["RMSNorm", () => new RMSNorm({ dim: 6, eps: 0.3 })],
  ])("of %s is the sum and then the norm, in value and gradients", async (_, make) => {
    const layer = make();
    for (const parameter of layer.parameters()) parameter.write(new Stream("parameters").normal(6));
    const [x, residual] = [normal("branch", 2, 3, 6), normal("stream", 2, 3, 6)];
    const seeds = [normal("dy", 2, 3, 6), normal("dsum", 2, 3, 6)];
    const wrt = [x, residual, ...layer.parameters()];
    const fused = () => {
      const { y, sum } = layer.addNorm(x, residual);
      return [y, sum];
    };
    const apart = () => {
      const sum = x.add(residual);
      return [layer.forward(sum), sum];
    };
    const [a, b] = [fused, apart].map((fn) => vjp(fn, wrt, seeds));
    for (const [i, value] of a!.value.entries()) await expect(value).toBeCloseToTensor(b!.value[i]!);
    for (const [i, gradient] of a!.gradients.entries()) await expect(gradient).toBeCloseToTensor(b!.gradients[i]!, { atol: 1e-5 });
  });
});

test("options are checked, and parameters are named as published", () => {
  for (const dim of [0, -1, 1.5, Number.NaN]) {
    expect(() => new LayerNorm({ dim })).toThrow(`LayerNorm: dim must be a positive integer, got ${dim}.`);
    expect(() => new RMSNorm({ dim })).toThrow(`RMSNorm: dim must be a positive integer, got ${dim}.`);
  }
  for (const eps of [0, -1e-5, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => new LayerNorm({ dim: 2, eps })).toThrow(`LayerNorm: eps must be a finite number above 0, got ${eps}.`);
    expect(() => new RMSNorm({ dim: 2, eps })).toThrow(`RMSNorm: eps must be a finite number above 0, got ${eps}.`);
  }
  expect([...new LayerNorm({ dim: 2 }).namedParameters().keys()]).toEqual(["weight", "bias"]);
  expect([...new LayerNorm({ dim: 2, bias: false }).namedParameters().keys()]).toEqual(["weight"]);
  expect([...new RMSNorm({ dim: 2 }).namedParameters().keys()]).toEqual(["weight"]);
  expect([new LayerNorm({ dim: 2 }).eps, new RMSNorm({ dim: 2 }).eps]).toEqual([1e-5, 1e-6]);
});

test("Gemma's RMS norm adds 1 to its weight, and rounds after it multiplies", async () => {
  const dim = 64;
  const values = new Stream("gemma").normal(dim);
  const weights = new Stream("weights").normal(dim);
  const gemma = new RMSNorm({ dim, weightOffset: 1, castBeforeWeight: false });
  const llama = new RMSNorm({ dim, weightOffset: 1 });
  expect(await gemma.weight.data()).toEqual(new Float32Array(dim));
  for (const layer of [gemma, llama]) loadStateDict(layer, new Map([["weight", { shape: [dim], values: Float32Array.from(weights) }]]));
  const x = tensor(Float32Array.from(values), { shape: [1, dim] }).cast("bf16");
  // In f32, rounded once.
  const wide = x.cast("f32");
  const y = wide.mul(wide.square().mean(-1, { keepDims: true }).add(1e-6).rsqrt());
  const expected = await y
    .mul(tensor(Float32Array.from(weights), { shape: [dim] }).add(1))
    .cast("bf16")
    .data();
  expect(await gemma.forward(x).data()).toEqual(expected);
  // Rounded twice, some differ by a unit.
  const twice = await llama.forward(x).data();
  expect(twice.some((value, i) => value !== expected[i])).toBe(true);
  const { y: added, sum } = gemma.addNorm(x, x);
  expect(sum.dtype).toBe("bf16");
  expect(await added.data()).toEqual(await gemma.forward(x.add(x)).data());
});

describe("L2Norm", () => {
  test("makes rows of length 1; a row of zeros stays", async () => {
    await expect(
      new L2Norm().forward(
        tensor([
          [3, 4],
          [0, 0],
        ]),
      ),
    ).toBeCloseToTensor([
      [0.6, 0.8],
      [0, 0],
    ]);
  });

  test("multiplies each head by its factor, which is trained and bounded", async () => {
    const norm = new L2Norm({ numHeads: 2, scale: 10 });
    const x = tensor([3, 4, 0, -2], { shape: [1, 2, 1, 2] });
    await expect(norm.forward(x)).toBeCloseToTensor([[[[6, 8]], [[0, -10]]]], { rtol: 1e-5 });
    expect(norm.namedParameters().get("logScale")!.shape).toEqual([2, 1, 1]);
    await expect(new L2Norm({ numHeads: 2, scale: 1e6 }).forward(x)).toBeCloseToTensor([[[[60, 80]], [[0, -100]]]], { rtol: 1e-4 });
  });
});
