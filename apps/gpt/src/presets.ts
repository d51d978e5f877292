import type { Precision } from "@x/tensor";

/** What a model is made of. */
export interface Architecture {
  readonly numLayers: number;
  readonly numHeads: number;
  readonly dim: number;
  readonly bias: boolean;
  readonly tokenizer: "characters" | "bytes";
}

/** How a model is trained; command-line options replace single entries. */
export interface Training {
  /** Tokens in a window. */
  readonly context: number;
  readonly batch: number;
  /** Micro-batches for each update. */
  readonly accumulate: number;
  readonly steps: number;
  readonly lr: number;
  readonly minLr: number;
  readonly warmup: number;
  readonly betas: readonly [number, number];
  readonly weightDecay: number;
  readonly clipNorm: number;
  readonly dropout: number;
  readonly evaluateEvery: number;
  /** What forward and backward pass compute in; weights stay f32. "f32" if absent. */
  readonly precision?: Precision;
}

export type Preset = Architecture & Training;

/** nanoGPT's character model at the size of a laptop's CPU. */
const baby: Preset = {
  numLayers: 4,
  numHeads: 4,
  dim: 128,
  bias: true,
  tokenizer: "characters",
  context: 64,
  batch: 12,
  accumulate: 1,
  steps: 2000,
  lr: 1e-3,
  minLr: 1e-4,
  warmup: 100,
  betas: [0.9, 0.99],
  weightDecay: 0.1,
  clipNorm: 1,
  dropout: 0,
  evaluateEvery: 500,
};

export const presets: ReadonlyMap<string, Preset> = new Map([
  /** For tests and first tries: seconds. */
  ["tiny", { ...baby, numLayers: 2, numHeads: 2, dim: 32, context: 32, batch: 8, steps: 100, warmup: 10, evaluateEvery: 50 }],
  ["baby", baby],
  /** nanoGPT's character model: 10.6 million parameters, for a GPU or a patient evening. */
  ["small", { ...baby, numLayers: 6, numHeads: 6, dim: 384, context: 256, batch: 64, steps: 5000, dropout: 0.2, evaluateEvery: 250 }],
  /** The blocks of the published GPT-2 over bytes: 86 million parameters. */
  [
    "gpt2",
    {
      ...baby,
      numLayers: 12,
      numHeads: 12,
      dim: 768,
      bias: true,
      tokenizer: "bytes",
      context: 256,
      batch: 1,
      steps: 1000,
      lr: 3e-4,
      minLr: 3e-5,
      betas: [0.9, 0.95],
    },
  ],
] satisfies [string, Preset][]);
