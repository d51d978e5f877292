import { arange } from "../create.ts";
import { drawBits } from "../generator.ts";
import type { ExpressionSample, SampleInput } from "../sample.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

const key: SampleInput = { shape: [4], dtype: "u32", fill: { kind: "values", values: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344] } };
const draw = (key: Tensor, shape: Shape, ordinal: number): Tensor => drawBits(key, ordinal, shape);

/** Draws (random bits of a key) and element positions. */
export const randomSamples: readonly ExpressionSample[] = [
  { name: "bits of draw 0", inputs: { key }, build: ({ key }) => draw(key!, [257], 0) },
  { name: "bits of a late draw, two axes", inputs: { key }, build: ({ key }) => draw(key!, [5, 33], 3_000_000_000) },
  { name: "one bit of randomness", inputs: { key }, build: ({ key }) => draw(key!, [], 7) },
  {
    name: "dropout: a draw within a chain",
    inputs: { key, x: { shape: [13, 37] } },
    build: ({ key, x }) => draw(key!, [13, 37], 2).gt(1_288_490_188).where(x!.div(0.7), x!.zerosLike()),
  },
  {
    name: "positions",
    inputs: { x: { shape: [3, 7] } },
    build: ({ x }) => x!.mul(arange(21, { device: x!.device }).reshape([3, 7]).cast(x!.dtype)),
  },
];
