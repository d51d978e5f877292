import { Decoder } from "@x/models/decoder";
import { Generator, reference, setDefaultDevice, tensor, withGenerator } from "@x/tensor";
import { expect, test } from "vitest";
import { causalDecoder } from "../src/index.ts";

test.each(["performer", "bigbird"] as const)("a model that keeps no keys and values writes too: %s", async (mixer) => {
  const device = reference();
  setDefaultDevice(device);
  const config = { mixer, position: "rope", vocabSize: 7, maxLength: 16, dim: 8, numLayers: 2, numHeads: 2, blockSize: 2 } as const;
  const model = withGenerator(new Generator({ seed: 1, device }), () => new Decoder(config));
  const decoder = causalDecoder(model, { device });
  const prompts = [Int32Array.of(1, 2, 3, 4), Int32Array.of(5, 6)];
  const logits = [await decoder.prefill(prompts, { newTokens: 3, rows: 2 })];
  const added = [Int32Array.of(3, 0), Int32Array.of(6, 2), Int32Array.of(1, 1)];
  for (const tokens of added) logits.push(await decoder.step(tokens));
  for (const [row, prompt] of prompts.entries())
    for (const [i, given] of logits.entries()) {
      const all = [...prompt, ...added.slice(0, i).map((tokens) => tokens[row]!)];
      const whole = await model.forward(tensor(Int32Array.from(all), { shape: [1, all.length] }), { lastOnly: true }).data();
      for (const [k, value] of given.slice(7 * row, 7 * row + 7).entries()) expect(value).toBeCloseTo(whole[k]!, 5);
    }
  decoder.close();
});
