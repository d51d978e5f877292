import { KvCache, SelfAttention } from "@x/attention";
import { compile, Generator, scope, type Tensor, tensor, withGenerator } from "@x/tensor";
import type { Prepared } from "./competitor.ts";
import type { TaskOf } from "./replayed.ts";
import type { DecodeWorkload } from "./workloads.ts";

/** Tokens of a sample: the last of them sees the whole cache. */
const run = 64;

const cacheOf = {
  contiguous: ({ tokens, heads, width }: DecodeWorkload) =>
    new KvCache({ batch: 1, capacity: tokens, numLayers: 1, numKvHeads: heads, headDim: width }),
};

/** Fills a cache but for the last tokens; a sample writes those one by one, and forgets them. */
export async function prepareDecode({ work, inputs, seed, device }: TaskOf<DecodeWorkload>): Promise<Prepared> {
  const { heads, width, tokens } = work;
  const dim = heads * width;
  const layer = withGenerator(new Generator({ seed, device }), () => new SelfAttention({ dim, numHeads: heads, causal: true }));
  const cache = cacheOf[work.cache](work);
  const filled = tokens - run;
  const look = { cache: cache.layers[0]! };
  scope(() => {
    cache.checkRoom([1, filled]);
    layer.forward(tensor(inputs.x!.subarray(0, filled * dim), { shape: [1, filled, dim], device }), look);
    cache.advance(filled);
  });
  const step = compile(
    (x: Tensor) => {
      const y = layer.forward(x, look);
      cache.advance(1);
      return y;
    },
    { name: "decode" },
  );
  const token = (at: number) => ({ data: inputs.x!.subarray(at * dim, (at + 1) * dim), shape: [1, 1, dim] });
  await step.prepare(token(filled));
  return {
    async sample() {
      const start = performance.now();
      for (let at = filled; at < tokens; at++) {
        step(token(at)).dispose();
        cache.counted(1);
      }
      await device.settled();
      const each = (performance.now() - start) / run;
      cache.truncate(filled);
      return each;
    },
  };
}
