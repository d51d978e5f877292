import { loadStateDict, quantizeLinear, stateDict } from "@x/nn";
import { Generator, reference, setDefaultDevice, tensor, withGenerator } from "@x/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { GPT2, Llama } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const sizes = { vocabSize: 11, maxLength: 8, dim: 48, numLayers: 2, numHeads: 3 };
const seeded = <T>(seed: number, make: () => T): T => withGenerator(new Generator({ seed }), make);
const tokens = () => tensor([[1, 2, 3, 4, 5]], { dtype: "i32" });

describe.each([
  ["GPT2", (seed: number) => seeded(seed, () => new GPT2(sizes)), 12],
  ["Llama", (seed: number) => seeded(seed, () => new Llama({ ...sizes, numKvHeads: 1, hiddenDim: 80, tied: false })), 15],
] as const)("%s", (_, make, layers) => {
  test.each([
    [8, 0.01],
    [4, 0.15],
  ] as const)("with all its layers in %i bits gives nearly its logits, and comes back from its state dict", async (bits, apart) => {
    const model = make(1);
    const wanted = await model.forward(tokens()).data();
    const paths = await quantizeLinear(model, { bits, group: 32 });
    expect(paths).toHaveLength(layers);
    const found = await model.forward(tokens()).data();
    const largest = Math.max(...wanted.map(Math.abs));
    expect(Math.max(...found.map((value, i) => Math.abs(value - wanted[i]!)))).toBeLessThan(apart * largest);
    const fresh = make(2);
    await quantizeLinear(fresh, { bits, group: 32 });
    loadStateDict(fresh, await stateDict(model));
    expect(await fresh.forward(tokens()).data()).toEqual(found);
  });
});
