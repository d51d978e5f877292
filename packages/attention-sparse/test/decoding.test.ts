import { KvCache, SlidingKvCache } from "@x/attention";
import { withTraining } from "@x/nn";
import { Generator, randn, reference, setDefaultDevice, Tensor, withGenerator } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { LongformerAttention, type LongformerOptions } from "../src/index.ts";
import { mask } from "./dense.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));

const make = (options: Partial<LongformerOptions> = {}) =>
  withGenerator(new Generator({ seed: 4, device }), () => new LongformerAttention({ dim: 8, numHeads: 2, reach: 2, ...options }));
const input = (batch: number, length: number) => randn([batch, length, 8], { generator: new Generator({ seed: 7, device }) });
const close = { atol: 3e-6, rtol: 1e-5 };

describe("decoding over a cache", () => {
  const caches = {
    "all of it": () => new KvCache({ batch: 2, capacity: 20, numLayers: 1, numKvHeads: 2, headDim: 4 }),
    "what windows see": (window: number) => new SlidingKvCache({ batch: 2, window, numLayers: 1, numKvHeads: 2, headDim: 4 }),
  };
  const over = (layer: LongformerAttention, x: Tensor, cache: KvCache | SlidingKvCache, chunks: readonly number[]) => {
    let at = 0;
    const parts = chunks.map((count) => {
      const y = layer.forward(x.slice(1, at, at + count), { cache: cache.layers[0]! });
      cache.advance(count);
      at += count;
      return y;
    });
    return Tensor.concat(parts, 1);
  };

  test.each(Object.entries(caches))("keeps %s: any chunks are the whole sequence, dilated or not", async (_, open) => {
    for (const [dilation, window] of [
      [1, 4],
      [2, 7],
      [[1, 3], 10],
    ] as const) {
      const layer = make({ causal: true, reach: 3, dilation });
      const x = input(2, 18);
      for (const chunks of [[7, 1, 1, 1, 1, 1, 1, 4, 1], [1, 5, 12], new Array<number>(18).fill(1)])
        await expect(over(layer, x, open(window), chunks)).toBeCloseToTensor(layer.forward(x), close);
    }
  });

  test("padding on the left is not seen", async () => {
    const layer = make({ causal: true, reach: 3, dilation: [1, 2] });
    const x = input(2, 12);
    const cache = caches["what windows see"](7);
    cache.reset([0, 4]);
    const y = over(layer, x, cache, [6, 1, 2, 1, 1, 1]);
    await expect(y.slice(0, 0, 1)).toBeCloseToTensor(layer.forward(x.slice(0, 0, 1)), close);
    const alone = layer.forward(x.slice(0, 1, 2).slice(1, 4, 12));
    await expect(y.slice(0, 1, 2).slice(1, 4, 12)).toBeCloseToTensor(alone, close);
  });

  test("what a cache does not keep is refused by name", () => {
    const { layers } = caches["all of it"]();
    const call =
      (options: Partial<LongformerOptions>, more = {}) =>
      () =>
        make(options).forward(input(2, 3), { cache: layers[0]!, ...more });
    expect(call({})).toThrow("LongformerAttention: a cache needs causal attention; set causal: true.");
    expect(call({ causal: true, globalTokens: [0] })).toThrow(/globalTokens does not act over a cache/);
    expect(call({ causal: true, mode: "noOverlap" })).toThrow(/mode "noOverlap" does not act over a cache/);
    expect(call({ causal: true }, { globalMask: mask(2, 3, () => true) })).toThrow(/globalMask does not act over a cache/);
    expect(call({ causal: true }, { keyMask: mask(2, 3, () => true) })).toThrow(/keyMask does not act .* reset\(padding\)/);
    expect(() => withTraining(true, call({ causal: true, dropout: 0.5 }))).toThrow(/dropout does not act over a cache/);
    const small = caches["what windows see"](4).layers[0]!;
    expect(() => make({ causal: true, reach: 4 }).forward(input(2, 3), { cache: small })).toThrow(
      /4 positions are kept, but layer 0 looks at 5/,
    );
  });
});
