import { SelfAttention } from "@x/attention";
import { PerformerAttention } from "@x/attention-linear";
import { BigBirdAttention, bigBirdBlocks, LongformerAttention } from "@x/attention-sparse";
import type { Module } from "@x/nn";
import { attention, blockMap, blockMapWords, blocks, global, or, type Pattern, softmax, window } from "@x/ops";
import { arange, type Cell, Generator, type Tensor, vjp, withGenerator } from "@x/tensor";
import { type Prepared, timed } from "./competitor.ts";
import { constant, constants, replayed, type TaskOf } from "./replayed.ts";
import type { AttentionWorkload, BlockMapWorkload, LayerWorkload } from "./workloads.ts";

export function prepareAttention({ work, inputs, ...place }: TaskOf<AttentionWorkload>): Promise<Prepared> {
  const { heads, tokens, width, causal, training } = work;
  const shape = [1, heads, tokens, width];
  const { q, k, v } = constants(inputs, ["q", "k", "v"], shape);
  const scale = 1 / Math.sqrt(width);
  const attend = () =>
    place.composed ? composedAttention(q.value, k.value, v.value, { scale, causal }) : attention({ q, k, v }, { scale, causal });
  return replayed(place, withGradients(attend, [q, k, v], training ? constant(inputs.g!, shape) : undefined));
}

/** What a user would write without the fused operation; all scores lie in memory. */
function composedAttention(q: Tensor, k: Tensor, v: Tensor, { scale, causal }: { scale: number; causal: boolean }): Tensor {
  const scores = q.matmul(k.transpose()).mul(scale);
  if (!causal) return softmax({ x: scores }).matmul(v);
  const at = arange(q.shape[2]!, { device: q.device });
  const seen = at.le(at.unsqueeze(1)).expand(scores.shape);
  return softmax({ x: seen.where(scores, -1e30) }).matmul(v);
}

const layerOf = {
  dense: ({ dim, heads }) => new SelfAttention({ dim, numHeads: heads }),
  longformer: ({ dim, heads }) => new LongformerAttention({ dim, numHeads: heads, attentionWindow: 512, globalProjections: false }),
  // The published random blocks, which Hugging Face leaves out of inference.
  bigbird: ({ dim, heads }) => new BigBirdAttention({ dim, numHeads: heads, layer: 0, blockSize: 64, randomBlocks: "seeded" }),
  performer: ({ dim, heads }) => new PerformerAttention({ dim, numHeads: heads, numFeatures: 256 }),
} satisfies Record<LayerWorkload["layer"], (work: LayerWorkload) => Module & { forward(x: Tensor): Tensor }>;

export async function prepareLayer({ work, inputs, seed, ...place }: TaskOf<LayerWorkload>): Promise<Prepared> {
  const shape = [1, work.tokens, work.dim];
  const { device } = place;
  const layer = withGenerator(new Generator({ seed, device }), () => layerOf[work.layer](work));
  const x = constant(inputs.x!, shape);
  const g = work.training ? constant(inputs.g!, shape) : undefined;
  const { sample } = await replayed(
    { ...place, device },
    withGradients(() => layer.forward(x.value), [x, ...layer.parameters()], g),
  );
  return { sample }; // no one else has the layer, so there is nothing to compare its output with here
}

/** The gradients of `sum(y * g)` with respect to `wrt` in the place of y, where there is a g. */
function withGradients(forward: () => Tensor, wrt: readonly Cell[], g: Cell | undefined): () => readonly Tensor[] {
  if (!g) return () => [forward()];
  return () => vjp(() => [forward()], wrt, [g.value]).gradients;
}

const size = 64;
const patternOf: Record<BlockMapWorkload["pattern"], (tokens: number) => Pattern> = {
  window: () => window(256, 256),
  global: () => or(window(256, 256), global([0, 1, 2, 3])),
  blocks: (tokens) => {
    const [head] = bigBirdBlocks({
      seed: 0,
      numHeads: 1,
      numRandomBlocks: 3,
      blockSize: size,
      maxLength: 4096,
      lengthList: "hf",
      length: tokens,
    });
    const last = tokens / size - 1;
    const all = Array.from({ length: last + 1 }, (_, i) => i);
    const row = (i: number) => (i === 0 || i === last ? all : [...new Set([0, i - 1, i, i + 1, last]), ...head![i - 1]!]);
    return blocks(all.map(row), { size });
  },
};

export function prepareBlockMap({ work: { pattern, tokens, again }, device }: TaskOf<BlockMapWorkload>): Prepared {
  const extents = { queries: tokens, keys: tokens };
  const known = patternOf[pattern](tokens);
  if (again) return { sample: timed(() => blockMap(known, { ...extents, device })) };
  return {
    async sample() {
      const fresh = patternOf[pattern](tokens); // maps are kept with their pattern
      const start = performance.now();
      blockMapWords(fresh, extents);
      return performance.now() - start;
    },
  };
}
