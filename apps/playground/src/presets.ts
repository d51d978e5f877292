/** How a model is trained. */
export interface Training {
  /** Tokens in a window. */
  readonly context: number;
  /** Windows in a batch. */
  readonly batch: number;
  readonly steps: number;
  readonly lr: number;
  readonly minLr: number;
  readonly warmup: number;
  readonly betas: readonly [number, number];
  readonly weightDecay: number;
  readonly clipNorm: number;
  readonly dropout: number;
}

/** A model to choose: data alone, so that the page can show it without loading what computes. `family` says who makes it. */
export interface Preset {
  readonly id: string;
  readonly family: "gpt";
  readonly title: string;
  /** What to expect of it, in a few words. */
  readonly words: string;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly dim: number;
  readonly training: Training;
}

/** nanoGPT's character model at the size of a laptop's processor. */
const training: Training = {
  context: 64,
  batch: 12,
  steps: 2000,
  lr: 1e-3,
  minLr: 1e-4,
  warmup: 100,
  betas: [0.9, 0.99],
  weightDecay: 0.1,
  clipNorm: 1,
  dropout: 0,
};

export const presets: readonly Preset[] = [
  {
    ...{ id: "gpt-tiny", family: "gpt", title: "GPT, tiny", words: "learns to spell in seconds" },
    ...{ numLayers: 2, numHeads: 2, dim: 32 },
    training: { ...training, context: 32, batch: 8, steps: 1000, lr: 3e-3, minLr: 3e-4, warmup: 20 },
  },
  {
    ...{ id: "gpt-baby", family: "gpt", title: "GPT, baby", words: "learns words and habits in minutes" },
    ...{ numLayers: 4, numHeads: 4, dim: 128 },
    training,
  },
  {
    ...{ id: "gpt-small", family: "gpt", title: "GPT, small", words: "for a graphics card, or for patience" },
    ...{ numLayers: 6, numHeads: 6, dim: 384 },
    training: { ...training, context: 256, batch: 16, steps: 5000, dropout: 0.1 },
  },
];

/** The preset of this id, or undefined. */
export const presetOf = (id: string): Preset | undefined => presets.find((preset) => preset.id === id);
