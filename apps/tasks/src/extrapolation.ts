import { evaluationWindows } from "@x/data";
import { positions } from "@x/models/decoder";
import { evaluator } from "@x/train";
import type { Task } from "./task.ts";
import { trained } from "./trained.ts";

const context = 64;
const lengths = [64, 128, 256, 512, 1024];
/** Tokens that a loss is taken over. */
const measured = 16_384;

/** How far positions reach beyond the windows they were trained on. */
export const extrapolation: Task = {
  name: "extrapolation",
  question: `Trained on windows of ${context} characters, what is the validation loss on longer ones? Rows of learned positions beyond ${context} were never trained; ALiBi's paper claims that its loss does not rise (Press et al. 2021), T5's buckets and Transformer-XL's distances that they reach further, and all that rotary and sinusoidal positions fail soon.`,
  rows: "positions",
  variants: positions.map((position) => ({
    name: position,
    async measure({ text, device, seed, effort }) {
      const config = { position, dim: 64, numLayers: 2, numHeads: 4, maxLength: lengths.at(-1)! };
      const training = { steps: Math.round(800 * effort), context, batch: 16, lr: 2e-3, warmup: 50 };
      const { model, release } = await trained(text, config, training, { seed, device });
      const evaluate = evaluator(model, { device });
      const tokens = text.validation.subarray(0, measured + 1);
      const values: Record<string, number> = {};
      for (const length of lengths) {
        const windows = evaluationWindows({ tokens, batch: Math.max(1, 1024 / length), context: length });
        values[`loss at ${length}`] = (await evaluate(windows)) ?? Number.NaN;
      }
      evaluate.release();
      release();
      return values;
    },
  })),
};
