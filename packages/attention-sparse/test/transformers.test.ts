import { fileURLToPath } from "node:url";
import { openSafetensors } from "@x/checkpoint";
import { wasm } from "@x/kernels-wasm";
import { type Linear, withTraining } from "@x/nn";
import { type Cell, Generator, type Tensor, tensor, withGenerator } from "@x/tensor";
import { differencesOf, type ParityCase, type ParityTensor, readParityModule } from "@x/testing";
import { afterAll, describe, expect, test } from "vitest";
import { BigBirdAttention, LongformerAttention } from "../src/index.ts";

/** The layers of transformers, with gradients by everything: made by tools/golden. */
const fixtures = fileURLToPath(new URL("../../../fixtures/layers", import.meta.url));
const device = await wasm({ threads: 2, strict: true });
afterAll(() => device.close());

const floats = ({ shape, data }: ParityTensor): Tensor => tensor(Float32Array.from(data), { shape, device });

/** Layers by the names of transformers' projections. */
const linears = (layer: LongformerAttention | BigBirdAttention): Record<string, Linear> => {
  const { query, key, value, output } = layer;
  const global = layer instanceof LongformerAttention ? layer : undefined;
  const named = { query_global: global?.queryGlobal, key_global: global?.keyGlobal, value_global: global?.valueGlobal };
  return { query, key, value, output, ...(named as Record<string, Linear>) };
};

async function expectTheirs(
  one: ParityCase,
  layer: LongformerAttention | BigBirdAttention,
  forward: (x: Tensor, mask: Tensor) => Tensor,
): Promise<void> {
  const { inputs } = one;
  const cells = new Map<string, Cell>();
  for (const [full, given] of inputs) {
    const [, of, part] = /^(\w+)_(weight|bias)$/.exec(full) ?? [];
    if (!of) continue;
    const cell = linears(layer)[of]![part as "weight" | "bias"]!;
    cell.write(Float32Array.from(given.data));
    cells.set(full, cell);
  }
  const { shape, data } = inputs.get("mask")!;
  const mask = tensor(Int32Array.from(data), { shape, device });
  const x = floats(inputs.get("x")!);
  const wrt = { x, ...Object.fromEntries(cells) };
  expect(await differencesOf(one, { forward: () => forward(x, mask), wrt, device })).toEqual([]);
}

const drawn = <T>(make: () => T): T => withGenerator(new Generator({ seed: 1, device }), make);
const casesOf = async (module: string) =>
  (await readParityModule(fixtures, module, openSafetensors)).cases.map((one) => [one.name, one] as const);

describe("Longformer is transformers'", async () => {
  test.each(await casesOf("longformer_attention"))("%s", async (_, one) => {
    const { heads: numHeads, window: attentionWindow } = one.options as { heads: number; window: number };
    const layer = drawn(() => new LongformerAttention({ dim: 12, numHeads, attentionWindow }));
    const hasGlobal = one.inputs.has("query_global_weight");
    await expectTheirs(one, layer, (x, mask) => layer.forward(x, { keyMask: mask.ne(0), ...(hasGlobal && { globalMask: mask.eq(2) }) }));
  });
});

describe("BigBird is transformers'", async () => {
  test.each(await casesOf("big_bird_attention"))("%s", async (_, one) => {
    const options = one.options as Record<"heads" | "block_size" | "random_blocks" | "layer", number> & { training: boolean };
    const { heads: numHeads, block_size: blockSize, random_blocks: numRandomBlocks, layer: index } = options;
    const layer = drawn(() => new BigBirdAttention({ dim: 4 * numHeads, numHeads, layer: index, blockSize, numRandomBlocks }));
    await expectTheirs(one, layer, (x, mask) => withTraining(options.training, () => layer.forward(x, { keyMask: mask.ne(0) })));
  });
});
