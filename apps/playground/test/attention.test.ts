import { SelfAttention } from "@x/attention";
import { RMSNorm } from "@x/norm";
import { RotaryPositions } from "@x/posenc";
import { arange, Generator, randn, reference, Tensor, withDevice, withGenerator } from "@x/tensor";
import { describe, expect, test } from "vitest";
import { glyph, reading, strongest } from "../src/page/attention.ts";
import { attentionMap } from "../src/worker/attention-map.ts";

const words = {
  ...{ step: 1, layer: 0, head: 0, tokens: ["a", " ", "\n"] },
  weights: Float32Array.of(1, 0, 0, 0.25, 0.75, 0, 0.5, 0.001, 0.499),
};

test("positions are named by how much they are looked at", () => {
  expect(strongest(words, 2, 3)).toEqual([
    { position: 0, weight: 0.5 },
    { position: 2, weight: expect.closeTo(0.499) },
  ]);
  expect(reading(words, 1)).toBe("Blank at 2 looks at blank at 2 (75 %), “a” at 1 (25 %).");
  expect(words.tokens.map(glyph)).toEqual(["a", "·", "⏎"]);
});

describe("the map of a head", () => {
  const headDim = 4;
  const device = reference();
  const variants = {
    "multi-head": { numHeads: 2 },
    "grouped-query, rotated, normed": {
      ...{ numHeads: 4, numKvHeads: 2 },
      ...{ rotation: () => new RotaryPositions({ headDim, maxLength: 16 }), queryNorm: () => new RMSNorm({ dim: headDim }) },
    },
    "not causal": { numHeads: 2, causal: false },
  };

  test.each(Object.entries(variants))("%s: its weights make the layer's own output", async (_, variant) => {
    const { rotation, queryNorm, ...plain } = { rotation: undefined, queryNorm: undefined, ...variant };
    const [own, expected] = withDevice(device, () =>
      withGenerator(new Generator({ seed: 3, device }), () => {
        const layer = new SelfAttention({
          ...{ dim: plain.numHeads * headDim, headDim, causal: true, ...plain },
          ...{ rotation: rotation?.(), queryNorm: queryNorm?.() },
        });
        const [x, length] = [randn([1, 7, plain.numHeads * headDim]), 7];
        const values = layer.value.forward(x).reshape([length, layer.numKvHeads, headDim]);
        const group = layer.numHeads / layer.numKvHeads;
        const heads = Array.from({ length: layer.numHeads }, (_, head) => {
          const v = values.slice(1, Math.floor(head / group), Math.floor(head / group) + 1).reshape([length, headDim]);
          return attentionMap(layer, x, head).matmul(v);
        });
        return [layer.output.forward(Tensor.concat(heads, 1)), layer.forward(x, { positions: arange(length) })];
      }),
    );
    const [a, b] = [await own!.data(), await expected!.data()];
    for (const [i, value] of [...a].entries()) expect(value).toBeCloseTo(b[i]!, 5);
  });
});
