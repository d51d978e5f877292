import { SlidingKvCache } from "@x/attention";
import { wasm } from "@x/kernels-wasm";
import { type Module, withTraining } from "@x/nn";
import { compile, type Device, Generator, grad, randn, reference, Tensor, withDevice, withGenerator } from "@x/tensor";
import { describeDevices } from "@x/testing";
import { tensorMatchers } from "@x/testing/vitest";
import { describe, expect, test } from "vitest";
import { adapterEntry } from "../../kernels-webgpu/test/adapter.ts";
import { BigBirdAttention, LongformerAttention } from "../src/index.ts";

expect.extend(tensorMatchers);

/** A layer over x [2, length, 8], more than a block of a map and more than is dense, with masks, each of which a call may use. */
interface Case {
  readonly length: number;
  readonly make: () => Module;
  readonly forward: (layer: never, x: Tensor, masks: { keyMask: Tensor; globalMask: Tensor }) => Tensor;
}
const longformer = (options: Partial<ConstructorParameters<typeof LongformerAttention>[0]>) => () =>
  new LongformerAttention({ dim: 8, numHeads: 2, reach: 5, ...options });

const bigBird = (options: Partial<ConstructorParameters<typeof BigBirdAttention>[0]>) => () =>
  new BigBirdAttention({ dim: 8, numHeads: 2, layer: 1, ...options });

const cases: Readonly<Record<string, Case>> = {
  "windows with a dilation for each head": {
    length: 67,
    make: longformer({ dilation: [1, 4] }),
    forward: (layer: LongformerAttention, x) => layer.forward(x),
  },
  "global tokens by mask, padding": {
    length: 67,
    make: longformer({ globalSlots: 6 }),
    forward: (layer: LongformerAttention, x, masks) => layer.forward(x, masks),
  },
  "global tokens by mask, causal": {
    length: 67,
    make: longformer({ globalSlots: 6, causal: true }),
    forward: (layer: LongformerAttention, x, { globalMask }) => layer.forward(x, { globalMask }),
  },
  "fixed global tokens, causal, padding": {
    length: 67,
    make: longformer({ globalTokens: [0, 33], causal: true }),
    forward: (layer: LongformerAttention, x, { keyMask }) => layer.forward(x, { keyMask }),
  },
  "seeded random blocks, padding": {
    length: 67,
    make: bigBird({ blockSize: 6 }),
    forward: (layer: BigBirdAttention, x, { keyMask }) => layer.forward(x, { keyMask }),
  },
  "block 0 once more for each random block": {
    length: 67,
    make: bigBird({ blockSize: 6, randomBlocks: "zeros" }),
    forward: (layer: BigBirdAttention, x) => layer.forward(x),
  },
  "extra global tokens, padding": {
    length: 71,
    make: bigBird({ blockSize: 6, numGlobalTokens: 3 }),
    forward: (layer: BigBirdAttention, x, { keyMask }) => layer.forward(x, { keyMask }),
  },
};

const wave = (length: number, by: number) => Float32Array.from({ length }, (_, i) => Math.sin(by * i) * (1 + (i % 7) / 7));
function hostArguments(length: number, turn: number) {
  const bools = (at: (entry: number, i: number) => boolean) => ({
    data: Array.from({ length: 2 * length }, (_, n) => Number(at(Math.floor(n / length), n % length))),
    shape: [2, length],
    dtype: "bool" as const,
  });
  return {
    x: { data: wave(2 * length * 8, 1 + turn / 10), shape: [2, length, 8] },
    keyMask: bools((entry, i) => i < length - 20 * entry),
    globalMask: bools((entry, i) => i % (10 + turn) === 0 && i < 20 + 30 * entry),
  };
}

/** Values and gradients of a few calls of one step. */
async function results(device: Device, { length, make, forward }: Case, turns: number, eager: boolean): Promise<number[][]> {
  const layer = withDevice(device, () => withGenerator(new Generator({ seed: 3, device }), make));
  const weights = layer.parameters();
  for (const [i, weight] of weights.entries())
    weight.write(
      wave(
        weight.shape.reduce((a, b) => a * b),
        2 + i,
      ).map((n) => n / 2),
    );
  const body = (given: { x: Tensor; keyMask: Tensor; globalMask: Tensor }) =>
    withTraining(true, () => {
      const gradients = grad(
        () =>
          forward(layer as never, given.x, given)
            .square()
            .sum(),
        [given.x, ...weights] as never,
      ) as readonly Tensor[];
      return { y: forward(layer as never, given.x, given), gradients };
    });
  const step = compile(body, { device, eager });
  const all: number[][] = [];
  for (let turn = 0; turn < turns; turn++) {
    const { y, gradients } = step(hostArguments(length, turn));
    for (const t of [y, ...gradients]) all.push([...(await t.data())]);
  }
  return all;
}

/** The reference is slow on purpose: each case runs on it once. */
const expected = new Map<Case, Promise<number[][]>>();
const referenceResults = (given: Case): Promise<number[][]> => {
  const known = expected.get(given) ?? results(reference(), given, 2, true);
  expected.set(given, known);
  return known;
};

await describeDevices(
  [{ name: "wasm", required: true, open: () => wasm({ threads: 2, strict: true }) }, adapterEntry("swiftshader", { strict: true })],
  (device) => {
    test.each(Object.entries(cases))("%s: values and gradients of compiled steps are the reference's", async (_, given) => {
      const ours = await results(device, given, 2, false);
      const theirs = await referenceResults(given);
      expect(ours.length).toBe(theirs.length);
      for (const [i, values] of ours.entries()) await expect(values).toBeCloseToTensor(theirs[i]!, { atol: 2e-4, rtol: 2e-4 });
    });

    test("decoding over a ring is the whole sequence, dilated by head", async () => {
      const generator = new Generator({ seed: 5, device });
      const layer = withDevice(device, () => withGenerator(generator, longformer({ reach: 3, dilation: [1, 3], causal: true })));
      const cache = new SlidingKvCache({ batch: 2, window: 10, numLayers: 1, numKvHeads: 2, headDim: 4, device });
      const x = randn([2, 24, 8], { generator });
      const parts: Tensor[] = [];
      for (const count of [9, 1, 1, 1, 4, 1, 1, 1, 1, 1, 1, 1, 1]) {
        parts.push(layer.forward(x.slice(1, cache.length, cache.length + count), { cache: cache.layers[0]! }));
        cache.advance(count);
      }
      await expect(Tensor.concat(parts, 1)).toBeCloseToTensor(layer.forward(x), { atol: 1e-5, rtol: 1e-5 });
    });

    test("an entry with more global tokens than slots is NaN, no other", async () => {
      const layer = withDevice(device, () => withGenerator(new Generator({ seed: 3, device }), longformer({ globalSlots: 2 })));
      const given = hostArguments(20, 0);
      const step = compile(({ x, globalMask }: { x: Tensor; globalMask: Tensor }) => layer.forward(x, { globalMask }), { device });
      const globalMask = { ...given.globalMask, data: given.globalMask.data.map((_, i) => Number(i < 2 || (i > 30 && i < 34))) };
      const y = await step({ x: given.x, globalMask }).data();
      expect(Array.from(y.slice(0, 160)).every(Number.isFinite)).toBe(true);
      expect(Array.from(y.slice(160)).every(Number.isNaN)).toBe(true);
    });
  },
  { describe, test },
);

test.each(Object.entries(cases))("%s: compiled is eager on the reference", async (_, given) => {
  const short = { ...given, length: 13 };
  expect(await results(reference(), short, 2, false)).toEqual(await results(reference(), short, 2, true));
});
