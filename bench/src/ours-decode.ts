import { type AttentionCache, KvCache, PagedKvCache, PagePool, QuantizedKvCache, SelfAttention, SlidingKvCache } from "@x/attention";
import { window } from "@x/ops";
import { compile, Generator, scope, type Tensor, tensor, withGenerator } from "@x/tensor";
import type { Prepared } from "./competitor.ts";
import type { TaskOf } from "./replayed.ts";
import type { DecodeWorkload } from "./workloads.ts";

/** Tokens of a sample: the last of them sees the whole cache. */
const run = 16;

const sizes = ({ heads, width }: DecodeWorkload) => ({ batch: 1, numLayers: 1, numKvHeads: heads, headDim: width });

const cacheOf: Record<DecodeWorkload["cache"], (work: DecodeWorkload) => AttentionCache> = {
  contiguous: (work) => new KvCache({ ...sizes(work), capacity: work.tokens }),
  sliding: (work) => new SlidingKvCache({ ...sizes(work), window: work.tokens }),
  paged: (work) => {
    const pool = new PagePool({ ...sizes(work), pages: work.tokens / 16, pageSize: 16 });
    return new PagedKvCache({ batch: 1, capacity: work.tokens, pool });
  },
  quantized: (work) => new QuantizedKvCache({ ...sizes(work), capacity: work.tokens }),
};

/** Fills a cache but for the last tokens; a sample writes those one by one, and forgets them. */
export async function prepareDecode({ work, inputs, seed, device }: TaskOf<DecodeWorkload>): Promise<Prepared> {
  const { heads, width, tokens } = work;
  const dim = heads * width;
  // A ring keeps what is looked at alone; all of it here.
  const pattern = work.cache === "sliding" ? window(tokens - 1) : undefined;
  const options = { dim, numHeads: heads, causal: true, ...(pattern && { pattern }) };
  const layer = withGenerator(new Generator({ seed, device }), () => new SelfAttention(options));
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
