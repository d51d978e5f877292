import { constant, Dropout, MLP, Module, normal, xavierUniform, zerosInit } from "@x/nn";
import {
  type Branch,
  DeepNorm,
  deepNormConstants,
  LayerNorm,
  LayerScale,
  layerScaleInit,
  type Norm,
  PostNorm,
  PreNorm,
  RMSNorm,
  SandwichNorm,
} from "@x/norm";
import { causal, type Pattern } from "@x/ops";
import type { Tensor } from "@x/tensor";
import type { FullDecoderConfig } from "./config.ts";
import { type Inits, type Mix, type MixOptions, mixerOf, patternOf, type Shared } from "./mixers.ts";

export const normOf = ({ norm, dim, eps, bias }: FullDecoderConfig): Norm =>
  norm === "rms" ? new RMSNorm({ dim, eps }) : new LayerNorm({ dim, eps, bias });

/** First values: GPT-2's, with what ends in the stream smaller by the number of branches; under DeepNorm its own. */
function initsOf({ residual, numLayers }: FullDecoderConfig): Inits {
  if (residual !== "deep") {
    const init = normal(0.02);
    return { init, valueInit: init, outputInit: normal(0.02 / Math.sqrt(2 * numLayers)) };
  }
  const smaller = xavierUniform(deepNormConstants({ decoder: numLayers }).decoder!.beta);
  return { init: xavierUniform(), valueInit: smaller, outputInit: smaller };
}

type Placed<A extends readonly unknown[]> = Branch<A> & { readonly norm: Norm };

/** Whether branches read the stream through a norm, so that the last block leaves it without one. */
export const readsThroughNorm = ({ residual }: FullDecoderConfig): boolean => residual === "pre" || residual === "sandwich";

/** A branch where the configuration places it in the stream. */
function placed<A extends readonly unknown[]>(config: FullDecoderConfig, branch: Branch<A>): Placed<A> {
  const { dim, numLayers } = config;
  const layerScale = config.layerScale ? new LayerScale({ dim, init: constant(layerScaleInit(numLayers)) }) : undefined;
  const common = { norm: normOf(config), branch, layerScale };
  switch (config.residual) {
    case "pre":
      return new PreNorm(common);
    case "post":
      return new PostNorm(common);
    case "sandwich":
      return new SandwichNorm({ ...common, outputNorm: normOf(config) });
    case "deep":
      return new DeepNorm({ ...common, alpha: deepNormConstants({ decoder: numLayers }).decoder!.alpha });
  }
}

/** A mixer, and what is dropped of its result. */
class Mixing extends Module {
  readonly mixer: Mix;
  readonly dropout: Dropout;

  constructor(mixer: Mix, p: number) {
    super();
    this.mixer = mixer;
    this.dropout = new Dropout({ p });
  }

  forward(x: Tensor, options: MixOptions): Tensor {
    return this.dropout.forward(this.mixer.forward(x, options));
  }
}

export class Block extends Module {
  readonly attention: Placed<[MixOptions]>;
  readonly mlp: Branch;
  readonly #mixer: Mix;
  readonly #pattern: Pattern | undefined;
  /** Whether the mixer reads the stream through its norm. */
  readonly #normsFirst: boolean;

  constructor(config: FullDecoderConfig, layer: number, shared: Shared) {
    super();
    const { dim, hiddenDim, activation, dropout, bias } = config;
    const inits = initsOf(config);
    this.#normsFirst = readsThroughNorm(config);
    this.#pattern = patternOf(config, layer);
    this.#mixer = mixerOf(config, this.#pattern, shared, inits);
    this.attention = placed(config, new Mixing(this.#mixer, dropout));
    // DeepNorm makes both weights of a feed-forward smaller.
    const init = config.residual === "deep" ? inits.outputInit : inits.init;
    this.mlp = placed(
      config,
      new MLP({ dim, hiddenDim, activation, dropout, bias, init, outputInit: inits.outputInit, biasInit: zerosInit }),
    );
  }

  get mixer(): Mix {
    return this.#mixer;
  }

  /** Who may look at whom. */
  get pattern(): Pattern {
    return this.#pattern ?? causal();
  }

  /** What each head weighs of each position, [batch, numHeads, length, length], for a stream without a memory. */
  weights(x: Tensor, options: Pick<MixOptions, "positions" | "keyMask">): Tensor {
    return this.#mixer.weights(this.#normsFirst ? this.attention.norm.forward(x) : x, options);
  }

  /** Memory is of the stream, as x is. */
  forward(x: Tensor, { memory, ...options }: MixOptions): Tensor {
    const read = memory && this.#normsFirst ? this.attention.norm.forward(memory) : memory;
    return this.mlp.forward(this.attention.forward(x, { ...options, memory: read }));
  }
}
