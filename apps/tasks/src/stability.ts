import type { DecoderConfig } from "@x/models/decoder";
import type { Task } from "./task.ts";
import { trained } from "./trained.ts";

type Parts = Pick<DecoderConfig, "residual" | "layerScale" | "numLayers">;
const variants: readonly (readonly [name: string, parts: Parts])[] = [
  ...[6, 12, 24].flatMap((numLayers) =>
    (["pre", "post"] as const).map((residual) => [`${residual}-norm, ${numLayers} layers`, { residual, numLayers }] as const),
  ),
  ["sandwich, 24 layers", { residual: "sandwich", numLayers: 24 }],
  ["DeepNorm, 24 layers", { residual: "deep", numLayers: 24 }],
  ["pre-norm with LayerScale, 24 layers", { residual: "pre", layerScale: true, numLayers: 24 }],
];

/** What placement of norms, depth and warm-up do to training. */
export const stability: Task = {
  name: "stability",
  question:
    "With a high rate (4e-3), does training go on, with warm-up and without? Post-norm is said to need warm-up, the more the deeper (Xiong et al. 2020); DeepNorm (Wang et al. 2022) and LayerScale (Touvron et al. 2021) were made for depth. Training loss of the last tenth of the steps.",
  rows: "placement",
  variants: variants.map(([name, parts]) => ({
    name,
    async measure({ text, device, seed, effort }) {
      const values: Record<string, number> = {};
      const steps = Math.round(150 * effort);
      for (const warmup of [0, Math.round(steps / 3)]) {
        const config = { ...parts, position: "rope", dim: 32, numHeads: 2, maxLength: 32 } as const;
        const { loss, release } = await trained(text, config, { steps, context: 32, batch: 8, lr: 4e-3, warmup }, { seed, device });
        release();
        values[warmup === 0 ? "no warm-up" : "warm-up over a third"] = loss;
      }
      return values;
    },
  })),
};
