import { type DistanceVectors, type LayerCache, type Rotation, SelfAttention, TransformerXLAttention } from "@x/attention";
import { type LinearLayerCache, PerformerAttention } from "@x/attention-linear";
import { type Init, type Linear, type Module, normal, zerosInit } from "@x/nn";
import { type Pattern, window } from "@x/ops";
import { AlibiBias, RotaryPositions, SinusoidalPositions, T5RelativeBias } from "@x/posenc";
import { currentGenerator, type Tensor } from "@x/tensor";
import { causalBigBird } from "./causal-big-bird.ts";
import type { FullDecoderConfig } from "./config.ts";
import { RelativePerformer } from "./relative-performer.ts";
import { SegmentAttention } from "./segment-attention.ts";

export interface MixOptions {
  /** i32 [length] or [batch, length]: of what is remembered too. */
  readonly positions: Tensor;
  /** bool, as long as the positions. */
  readonly keyMask?: Tensor | undefined;
  readonly cache?: (LayerCache & LinearLayerCache) | undefined;
  readonly total?: number | undefined;
  /** [batch, any, dim]: what entered the layer before. */
  readonly memory?: Tensor | undefined;
}
/** A layer that lets tokens look back: [batch, length, dim] -> [batch, length, dim]. */
export interface Mix extends Module {
  readonly value: Linear;
  forward(x: Tensor, options: MixOptions): Tensor;
  /** What each head weighs of each key: [batch, numHeads, length, length]. */
  weights(x: Tensor, options: MixOptions): Tensor;
}

export interface Inits {
  readonly init: Init;
  readonly valueInit: Init;
  /** Of what ends in the stream. */
  readonly outputInit: Init;
}

/** What tells positions to all layers alike. */
export interface Shared {
  readonly rotation: Rotation | undefined;
  readonly distanceBias: AlibiBias | T5RelativeBias | undefined;
  readonly distances: DistanceVectors | undefined;
}

export function sharedOf({ position, numHeads, dim, maxLength }: FullDecoderConfig): Shared {
  return {
    rotation: position === "rope" ? new RotaryPositions({ headDim: dim / numHeads, maxLength }) : undefined,
    distanceBias:
      position === "alibi"
        ? new AlibiBias({ numHeads })
        : position === "t5"
          ? new T5RelativeBias({ numHeads, bidirectional: false, init: normal(0.02) })
          : undefined,
    distances: position === "xl" ? new SinusoidalPositions({ maxLength, dim, layout: "halves" }) : undefined,
  };
}

export function mixerOf(
  config: FullDecoderConfig,
  pattern: Pattern | undefined,
  shared: Shared,
  { init, valueInit, outputInit }: Inits,
): Mix {
  const mixer = made(config, pattern, shared, { init, outputInit });
  // DeepNorm begins values, and not queries and keys, smaller.
  if (valueInit !== init) mixer.value.weight.write(valueInit(mixer.value.weight.shape, currentGenerator("Decoder")));
  return mixer;
}

function made(config: FullDecoderConfig, pattern: Pattern | undefined, shared: Shared, inits: Omit<Inits, "valueInit">): Mix {
  const { dim, numHeads, numKvHeads, mixer, dropout, bias, numFeatures, redrawEvery } = config;
  const { rotation, distanceBias, distances } = shared;
  const common = { dim, numHeads, numKvHeads, causal: true, bias, biasInit: zerosInit, ...inits };
  if (mixer === "performer") {
    // Without a floor a later key changes no earlier result.
    const kernel = { numFeatures, eps: distanceBias || distances ? 0 : 1e-6, redrawEvery };
    const performer = new PerformerAttention({ ...common, ...kernel, rotation });
    return distanceBias || distances ? new RelativePerformer({ performer, distanceBias, distances, init: inits.init }) : performer;
  }
  if (distances) return new TransformerXLAttention({ dim, numHeads, numKvHeads, distances, pattern, dropout, ...inits });
  const options = { ...common, rotation, distanceBias, dropout, pattern };
  return mixer === "xl" ? new SegmentAttention(options) : new SelfAttention(options);
}

/** Who may look at whom in a layer, where that is less than everything before. */
export function patternOf(
  { mixer, window: width, blockSize, numRandomBlocks, maxLength }: FullDecoderConfig,
  layer: number,
): Pattern | undefined {
  if (mixer === "longformer") return window(width - 1);
  return mixer === "bigbird" ? causalBigBird({ blockSize, numRandomBlocks, maxLength, layer }) : undefined;
}
