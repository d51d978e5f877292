import type { SelfAttention } from "@x/attention";
import type { Decoder } from "@x/models/decoder";
import type { GPT2 } from "@x/models/gpt2";
import { joinHeads, repeatHeads, splitHeads } from "@x/nn";
import { and, blocks, causal, window } from "@x/ops";
import { arange, Generator, noGrad, reference, type Tensor, tensor, withDevice, withGenerator } from "@x/tensor";
import { describe, expect, test } from "vitest";
import { type ModelParts, partChoices } from "../src/model-parts.ts";
import { glyph, reading, strongest } from "../src/page/attention.ts";
import { blockSummary } from "../src/page/blocks.ts";
import { presetOf } from "../src/presets.ts";
import { inPart } from "../src/protocol.ts";
import { blockWords } from "../src/worker/block-words.ts";
import { families } from "../src/worker/families.ts";

const words = {
  ...{ step: 1, layer: 0, head: 0, tokens: ["a", " ", "\n"], blocks: { length: 3, size: 1, times: new Int16Array(9) } },
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
  const device = reference();
  const preset = presetOf("gpt-tiny")!;
  const length = 21;
  const mixers = Object.keys(partChoices.mixer) as NonNullable<ModelParts["mixer"]>[];
  const models: [string, ModelParts][] = [
    ["GPT-2", {}],
    ...mixers.flatMap((mixer): [string, ModelParts][] => [
      [`${mixer}, rotary, shared heads`, { mixer, position: "rope", numKvHeads: 1, norm: "rms" }],
      [`${mixer}, ALiBi, post-norm`, { mixer, position: "alibi", residual: "post" }],
      [`${mixer}, relative, sandwich`, { mixer, position: "xl", residual: "sandwich" }],
    ]),
  ];

  /** The layer's projections, and what it gives for what it reads. */
  function layerOf(model: GPT2 | Decoder, tokens: Tensor, layer: number) {
    const stream = model.hiddenStates(tokens)[layer]!;
    if ("norm1" in model.blocks[layer]!) {
      const { norm1, attention } = model.blocks[layer];
      const x = norm1.forward(stream);
      return { x, y: attention.forward(x), value: attention.value, output: attention.output };
    }
    const { attention, mixer } = (model as Decoder).blocks[layer]!;
    const { residual } = (model as Decoder).config;
    const x = residual === "pre" || residual === "sandwich" ? attention.norm.forward(stream) : stream;
    const { output } = ("performer" in mixer ? mixer.performer : mixer) as SelfAttention;
    return { x, y: mixer.forward(x, { positions: arange(length) }), value: mixer.value, output };
  }

  test.each(models)("%s: its weights make the layer's own output", async (_, parts) => {
    const make = await families.gpt(parts);
    const { play, tokens, weights, own, expected } = withDevice(device, () =>
      withGenerator(new Generator({ seed: 3, device }), () =>
        noGrad(() => {
          const play = make(preset, 11);
          // Larger weights than those of a new model: heads that have made up their minds.
          for (const [name, cell] of play.model.namedParameters()) if (/(query|key)\.weight$/.test(name)) cell.set(cell.value.mul(12));
          const tokens = tensor(
            Int32Array.from({ length }, (_, i) => (i * i + (i >> 1)) % 11),
            { shape: [1, length] },
          );
          const weights = play.weightsAt(tokens, 1);
          const { x, y, value, output } = layerOf(play.model as unknown as GPT2 | Decoder, tokens, 1);
          const kvHeads = parts.numKvHeads ?? preset.numHeads;
          const values = repeatHeads(splitHeads(value.forward(x), kvHeads), preset.numHeads);
          return { play, tokens, weights, own: output.forward(joinHeads(weights.matmul(values))), expected: y };
        }),
      ),
    );
    expect(tokens.shape).toEqual([1, length]);
    const [a, b, rows] = [await own.data(), await expected.data(), await weights.data()];
    for (const [i, value] of [...a].entries()) expect(value).toBeCloseTo(b[i]!, 5);
    const pattern = play.patternAt(1);
    for (const [at, weight] of rows.entries()) {
      const [query, key] = [Math.floor(at / length) % length, at % length];
      expect([at, weight > 0]).toEqual([at, pattern.times(query, key) > 0]);
    }
  });
});

describe("the block map", () => {
  test("says of each pair of blocks how often it is seen, the last ones shorter", () => {
    const { length, size, times } = blockWords(window(3), 10, 4);
    expect([length, size]).toEqual([10, 4]);
    expect([...times]).toEqual([inPart, 0, 0, inPart, inPart, 0, 0, inPart, inPart]);
    const repeated = blockWords(and(causal(), blocks([[0], [0, 0, 0, 1]], { size: 4 })), 8, 4);
    expect([...repeated.times]).toEqual([inPart, 0, 3, inPart]);
  });

  test("asks pair by pair where a pattern does not know a block as a whole", () => {
    const unsure = { ...causal(), block: () => undefined };
    expect(blockWords(unsure, 40)).toEqual(blockWords(causal(), 40));
    // Those below the diagonal, and the last one, of a single position.
    expect(blockWords(causal(), 40).times.filter((times) => times === 1)).toHaveLength((13 * 14) / 2 + 1);
  });

  test("is said in a sentence", () => {
    expect(blockSummary(blockWords(causal(), 32))).toBe(
      "32 positions in blocks of 2: 136 of 256 pairs of blocks are seen (53\u00a0%), 16 of them in part.",
    );
    expect(blockSummary({ length: 8, size: 4, times: Int16Array.of(1, 0, 3, 1) })).toBe(
      "8 positions in blocks of 4: 3 of 4 pairs of blocks are seen (75\u00a0%), 1 of them counted up to 3 times.",
    );
  });
});
