import { expectChoice, expectCounts } from "@x/nn";
import type { Activation } from "@x/ops";
import { ShapeError, TensorError } from "@x/tensor";

/** How tokens look at each other. */
export const mixers = ["dense", "longformer", "bigbird", "performer", "xl"] as const;
export type Mixer = (typeof mixers)[number];
/** What tells them where they stand. */
export const positions = ["learned", "sinusoidal", "rope", "alibi", "t5", "xl", "none"] as const;
export type Position = (typeof positions)[number];
export const norms = ["layer", "rms"] as const;
export type NormKind = (typeof norms)[number];
/** Where the norms stand. */
export const residuals = ["pre", "post", "sandwich", "deep"] as const;
export type ResidualKind = (typeof residuals)[number];

export interface DecoderConfig {
  readonly vocabSize: number;
  /** Positions that learned, sinusoidal and rotary tables hold, and the most that the model sees. */
  readonly maxLength: number;
  readonly dim: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads?: number;
  /** Width of the feed-forward; 4 dim if absent. */
  readonly hiddenDim?: number;
  readonly mixer?: Mixer;
  readonly position?: Position;
  readonly norm?: NormKind;
  readonly residual?: ResidualKind;
  /** Scales what branches add, channel by channel, beginning the smaller the deeper the stack. */
  readonly layerScale?: boolean;
  readonly eps?: number;
  readonly activation?: Activation;
  /** Of what the branches add to the stream, and of tokens and positions. */
  readonly dropout?: number;
  readonly bias?: boolean;
  /** The output layer is the token table. */
  readonly tied?: boolean;
  /** Longformer: keys that a query sees, its own among them; a quarter of maxLength if absent, at most 256. */
  readonly window?: number;
  /** BigBird: positions in a block; an eighth of maxLength if absent, at most 64. */
  readonly blockSize?: number;
  /** BigBird: random blocks of each block; 1 if absent. */
  readonly numRandomBlocks?: number;
  /** Performer: random features of a head; headDim ln(headDim) if absent. */
  readonly numFeatures?: number;
  /** Performer: training steps that one draw of random features serves, if `redrawProjections` of @x/attention-linear is called before each; 0 keeps it for good. */
  readonly redrawEvery?: number;
  /** Transformer-XL: positions that are taken at once, and whose hidden states the next ones remember; half of maxLength if absent. */
  readonly segment?: number;
}

/** The configuration with its defaults. */
export type FullDecoderConfig = Required<DecoderConfig>;

/** Fills the defaults in; what does not fit together is refused. */
export function decoderConfig(config: DecoderConfig): FullDecoderConfig {
  const who = "Decoder";
  const { vocabSize, maxLength, dim, numLayers, numHeads } = config;
  expectCounts(who, { vocabSize, maxLength, dim, numLayers, numHeads });
  const headDim = dim / numHeads;
  if (!Number.isInteger(headDim)) throw new ShapeError(`${who}: dim ${dim} must be a multiple of numHeads ${numHeads}.`);
  const full: FullDecoderConfig = {
    numKvHeads: numHeads,
    hiddenDim: 4 * dim,
    mixer: "dense",
    position: "learned",
    norm: "layer",
    residual: "pre",
    layerScale: false,
    eps: 1e-5,
    activation: "gelu",
    dropout: 0,
    bias: true,
    tied: true,
    window: Math.min(256, Math.max(1, Math.floor(maxLength / 4))),
    blockSize: Math.min(64, Math.max(1, Math.floor(maxLength / 8))),
    numRandomBlocks: 1,
    numFeatures: Math.max(1, Math.floor(headDim * Math.log(headDim))),
    redrawEvery: 1000,
    segment: Math.max(1, Math.floor(maxLength / 2)),
    ...config,
  };
  expectChoice(who, "mixer", full.mixer, mixers);
  expectChoice(who, "position", full.position, positions);
  expectChoice(who, "norm", full.norm, norms);
  expectChoice(who, "residual", full.residual, residuals);
  const { numKvHeads, hiddenDim, window, blockSize, numRandomBlocks, numFeatures, segment } = full;
  expectCounts(who, { numKvHeads, hiddenDim, window, blockSize, numFeatures, segment });
  if (numHeads % numKvHeads !== 0) throw new ShapeError(`${who}: numHeads ${numHeads} must be a multiple of numKvHeads ${numKvHeads}.`);
  if (!Number.isInteger(numRandomBlocks) || numRandomBlocks < 0)
    throw new TensorError(`${who}: numRandomBlocks must be a whole number, 0 or more, got ${numRandomBlocks}.`);
  if (!Number.isInteger(full.redrawEvery) || full.redrawEvery < 0)
    throw new TensorError(`${who}: redrawEvery must be a whole number, 0 or more, got ${full.redrawEvery}.`);
  if (full.position === "rope" && headDim % 2 !== 0)
    throw new ShapeError(`${who}: rotary positions turn pairs, so dim / numHeads must be even, got ${headDim}.`);
  if ((full.position === "sinusoidal" || full.position === "xl") && dim % 2 !== 0)
    throw new ShapeError(`${who}: sinusoids come in pairs, so dim must be even for position "${full.position}", got ${dim}.`);
  return full;
}
