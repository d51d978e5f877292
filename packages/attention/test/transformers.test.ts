import { fileURLToPath } from "node:url";
import { openSafetensors } from "@x/checkpoint";
import { wasm } from "@x/kernels-wasm";
import type { Linear } from "@x/nn";
import { AlibiBias, RotaryPositions, T5RelativeBias } from "@x/posenc";
import { type Cell, Generator, setDefaultDevice, type Tensor, tensor, withGenerator } from "@x/tensor";
import { differencesOf, type ParityCase, type ParityTensor, readParityModule } from "@x/testing";
import { afterAll, describe, expect, test } from "vitest";
import { type AttentionOptions, SelfAttention } from "../src/index.ts";

/** The attention of published models, built from our parts, against transformers', with gradients by everything: made by tools/golden. */
const fixtures = fileURLToPath(new URL("../../../fixtures/layers", import.meta.url));
const device = await wasm({ threads: 2, strict: true });
setDefaultDevice(device);
afterAll(() => device.close());

const floats = ({ shape, data }: ParityTensor): Tensor => tensor(Float32Array.from(data), { shape, device });
const integers = ({ shape, data }: ParityTensor): Tensor => tensor(Int32Array.from(data), { shape, device });

/** A layer of the case's sizes, with its weights; whatever it is given besides, such as a table of biases, is in `cells` by its name in the case. */
async function expectTheirs(one: ParityCase, options: Omit<AttentionOptions, "dim">, cells = new Map<string, Cell>()): Promise<void> {
  const { inputs } = one;
  const size = (of: string, axis: number) => inputs.get(of)!.shape[axis]!;
  const headDim = size("query_weight", 0) / options.numHeads;
  const bias = inputs.has("query_bias");
  const layer = withGenerator(
    new Generator({ seed: 1, device }),
    () => new SelfAttention({ dim: size("x", 2), headDim, bias, ...options }),
  );
  const linears: Record<string, Linear> = { query: layer.query, key: layer.key, value: layer.value, output: layer.output };
  for (const full of inputs.keys()) {
    const [, of, part] = /^(\w+)_(weight|bias)$/.exec(full) ?? [];
    const cell = of && linears[of]?.[part as "weight" | "bias"];
    if (cell) cells.set(full, cell);
  }
  for (const [full, cell] of cells) cell.write(Float32Array.from(inputs.get(full)!.data));
  const x = floats(inputs.get("x")!);
  const keyMask = integers(inputs.get("mask")!).ne(0);
  const position = inputs.get("position");
  const positions = position && integers(position);
  const forward = () => layer.forward(x, { keyMask, positions, ...(positions && { total: 64 }) });
  expect(await differencesOf(one, { forward, wrt: { x, ...Object.fromEntries(cells) }, device })).toEqual([]);
}

const drawn = <T>(make: () => T): T => withGenerator(new Generator({ seed: 1, device }), make);
const casesOf = async (module: string) =>
  (await readParityModule(fixtures, module, openSafetensors)).cases.map((one) => [one.name, one] as const);

describe("ALiBi as Bloom has it", async () => {
  test.each(await casesOf("bloom_attention"))("%s", async (_, one) => {
    const { heads: numHeads } = one.options as { heads: number };
    await expectTheirs(one, { numHeads, causal: true, distanceBias: drawn(() => new AlibiBias({ numHeads })) });
  });
});

describe("ALiBi as MPT has it", async () => {
  test.each(await casesOf("mpt_attention"))("%s", async (_, one) => {
    const { heads: numHeads, max_bias: maxBias, scale } = one.options as { heads: number; max_bias: number; scale?: number };
    const distanceBias = drawn(() => new AlibiBias({ numHeads, maxBias }));
    await expectTheirs(one, { numHeads, causal: true, distanceBias, ...(scale !== undefined && { scale }) });
  });
});

describe("T5's relative bias on scores that are not scaled", async () => {
  test.each(await casesOf("t5_attention"))("%s", async (_, one) => {
    const options = one.options as Record<"heads" | "num_buckets" | "max_distance", number> & { decoder: boolean };
    const { heads: numHeads, num_buckets: numBuckets, max_distance: maxDistance, decoder } = options;
    const distanceBias = drawn(() => new T5RelativeBias({ numHeads, numBuckets, maxDistance, bidirectional: !decoder }));
    await expectTheirs(one, { numHeads, causal: decoder, scale: 1, distanceBias }, new Map([["relative_bias", distanceBias.weight]]));
  });
});

describe("GPT-NeoX's rotation of a part of each head", async () => {
  test.each(await casesOf("gpt_neox_attention"))("%s", async (_, one) => {
    const { heads: numHeads, rotary, theta: base } = one.options as Record<"heads" | "rotary" | "theta", number>;
    const headDim = one.inputs.get("query_weight")!.shape[0]! / numHeads;
    const rotation = drawn(() => new RotaryPositions({ headDim, rotaryDim: rotary * headDim, base, maxLength: 64 }));
    await expectTheirs(one, { numHeads, causal: true, rotation });
  });
});
