import { KvCache, type KvCacheOptions, QuantizedKvCache } from "@x/attention";
import { evaluationWindows } from "@x/data";
import type { Decoder } from "@x/models/decoder";
import { crossEntropy } from "@x/ops";
import { scope, tensor } from "@x/tensor";
import type { Task } from "./task.ts";
import type { Text } from "./text.ts";
import { trained } from "./trained.ts";

const context = 128;
/** Tokens that come at a time: all but the first see what is cached. */
const chunk = 8;
const windows = { batch: 8, count: 4 };
const dim = 64;
const numHeads = 8;
const numLayers = 2;
const plain = (options: KvCacheOptions) => new KvCache(options);
const eightBits = (options: KvCacheOptions) => new QuantizedKvCache(options);
const variants = [
  ["MHA, 8 heads of keys and values", 8, plain],
  ["GQA, 4", 4, plain],
  ["GQA, 2", 2, plain],
  ["MQA, 1", 1, plain],
  ["MHA in 8 bits", 8, eightBits],
  ["MQA in 8 bits", 1, eightBits],
] as const;

/** What a cache of keys and values costs, and what is lost with a smaller one. */
export const cache: Task = {
  name: "cache",
  question: `What does a cache of 4,096 positions take (2 layers of 8 heads of 8), and which loss does a model reach that reads all it knows of earlier tokens from it? Shazeer (2019) and Ainslie et al. (2023) claim that few heads of keys and values cost little; validation loss over windows of ${context}, ${chunk} tokens at a time.`,
  rows: "keys and values",
  variants: variants.map(([name, numKvHeads, make]) => ({
    name,
    async measure({ text, device, seed, effort }) {
      const config = { position: "rope", dim, numLayers, numHeads, numKvHeads, maxLength: context } as const;
      const training = { steps: Math.round(600 * effort), context, batch: 8, lr: 2e-3, warmup: 50 };
      const { model, release } = await trained(text, config, training, { seed, device });
      const loss = await cachedLoss(model, text, make);
      const large = make({ batch: 1, capacity: 4096, numLayers, numKvHeads, headDim: dim / numHeads, device });
      const { bytes } = large;
      large.dispose();
      release();
      return { bytes, "validation loss": loss };
    },
  })),
};

async function cachedLoss(model: Decoder, text: Text, make: (options: KvCacheOptions) => KvCache | QuantizedKvCache): Promise<number> {
  let [sum, count] = [0, 0];
  const tokens = text.validation.subarray(0, windows.batch * windows.count * context + 1);
  for (const { inputs, targets, shape } of evaluationWindows({ tokens, batch: windows.batch, context })) {
    const [batch, length] = shape as [number, number];
    const state = model.initState({ batch, capacity: length, cache: make });
    state.reset();
    for (let from = 0; from < length; from += chunk) {
      const part = (all: Int32Array) =>
        tensor(
          Int32Array.from({ length: batch * chunk }, (_, i) => all[Math.floor(i / chunk) * length + from + (i % chunk)]!),
          { shape: [batch, chunk] },
        );
      const loss = scope(() => crossEntropy({ logits: model.forward(part(inputs), { state }), targets: part(targets) }).sum());
      sum += await loss.item();
      count += batch * chunk;
      loss.dispose();
    }
    state.dispose();
  }
  return sum / count;
}
