import { isTraining, Linear, Module } from "@x/nn";
import { ShapeError, show, Tensor, zeros } from "@x/tensor";
import { BigBirdMaps, type Random } from "./big-bird-maps.ts";
import { type BigBirdOptions, checkBigBird } from "./big-bird-options.ts";
import { attendHeads, checkInput, checkRates, headDimOf, keepRows } from "./heads.ts";
import { mapBlock } from "./patterns.ts";

export interface BigBirdCall {
  /** bool [batch, length]: false where there is only padding, which nobody sees and which gives zeros before the last projection. */
  readonly keyMask?: Tensor | undefined;
}

const who = "BigBirdAttention";

/**
 * BigBird's self-attention, [batch, length, dim] -> [batch, length, dim]. A block of queries sees itself, its neighbours, the first and the last block, and random blocks, in one softmax in which a block that is named
 * twice counts twice; the first and the last block see everything. Any length: one that is no multiple of the block is computed as if it were padded on the right to one. Time and memory grow with the length.
 * Zaheer et al. 2020, arXiv 2007.14062, section 2 and appendix D.
 *
 * With numGlobalTokens (ETC) x is [batch, numGlobalTokens + length, dim], the global tokens first: they see everything and are seen by all, and the other tokens see their window and random blocks.
 */
export class BigBirdAttention extends Module {
  readonly numHeads: number;
  readonly headDim: number;
  readonly numGlobalTokens: number;
  readonly denseUpTo: number;
  readonly randomBlocks: NonNullable<BigBirdOptions["randomBlocks"]>;
  readonly scale: number;
  readonly dropout: number;
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
  readonly #maps: BigBirdMaps;

  constructor(options: BigBirdOptions) {
    super();
    checkBigBird(who, options);
    const { dim, numHeads, layer, blockSize = 64, numRandomBlocks = 3, numGlobalTokens = 0, lengthList = "hf" } = options;
    const { bias = true, outputBias = bias, init, outputInit = init } = options;
    this.numHeads = numHeads;
    this.headDim = headDimOf(who, options);
    this.numGlobalTokens = numGlobalTokens;
    this.denseUpTo = options.denseUpTo ?? (5 + 2 * numRandomBlocks) * blockSize;
    this.randomBlocks = options.randomBlocks ?? "auto";
    this.scale = options.scale ?? 1 / Math.sqrt(this.headDim);
    this.dropout = options.dropout ?? 0;
    checkRates(who, this);
    const width = numHeads * this.headDim;
    const projection = () => new Linear({ inputDim: dim, outputDim: width, bias, init });
    this.query = projection();
    this.key = projection();
    this.value = projection();
    this.output = new Linear({ inputDim: width, outputDim: dim, bias: outputBias, init: outputInit });
    const maxLength = lengthList === "google" ? 4096 : (options.maxLength ?? 4096);
    this.#maps = new BigBirdMaps({ seed: layer, numHeads, numRandomBlocks, blockSize, maxLength, lengthList });
  }

  forward(x: Tensor, { keyMask }: BigBirdCall = {}): Tensor {
    checkInput(who, x, this.query.inputDim, { keyMask });
    const length = x.shape[1]! - this.numGlobalTokens;
    if (length < 0)
      throw new ShapeError(`${who}: x must hold the ${this.numGlobalTokens} global tokens before its sequence, got ${show(x.shape)}.`);
    const asked = { q: this.query.forward(x), k: this.key.forward(x), v: this.value.forward(x), keyMask };
    return this.output.forward(keepRows(keyMask, this.#attend(asked, length, x)));
  }

  #attend(asked: Asked, length: number, { device }: Tensor): Tensor {
    if (length <= this.denseUpTo) return attendHeads(who, asked, this);
    if (this.numGlobalTokens > 0) return this.#behindTokens(asked, length);
    return attendHeads(who, { ...asked, map: this.#maps.withGlobalBlocks(length, this.#random(), device) }, this);
  }

  /** Global tokens see everything; the others see them and their own blocks. */
  #behindTokens({ q, k, v, keyMask }: Asked, length: number): Tensor {
    const count = this.numGlobalTokens;
    const [batch, all, width] = k.shape as [number, number, number];
    // Whole blocks of slots before the sequence, so that it stays aligned with its queries.
    const slots = Math.ceil(count / mapBlock) * mapBlock;
    const split = (rows: Tensor, free: Tensor) => Tensor.concat([rows.slice(1, 0, count), free, rows.slice(1, count, all)], 1);
    const free = slots - count;
    const none = zeros([batch, free, width], k);
    const present = keyMask ?? zeros([batch, all], { dtype: "bool", device: k.device }).not();
    const seen = split(present, zeros([batch, free], { dtype: "bool", device: k.device }));
    const map = this.#maps.behindTokens(slots, length, this.#random(), k.device);
    const global = attendHeads(who, { q: q.slice(1, 0, count), k, v, keyMask }, this);
    const local = attendHeads(who, { q: q.slice(1, count, all), k: split(k, none), v: split(v, none), keyMask: seen, map }, this);
    return Tensor.concat([global, local], 1);
  }

  /** Hugging Face draws no blocks outside of training since transformers' pull request 23056. */
  #random(): Random {
    if (this.randomBlocks !== "auto") return this.randomBlocks;
    return this.numGlobalTokens > 0 || isTraining() ? "seeded" : "zeros";
  }
}

type Asked = Record<"q" | "k" | "v", Tensor> & { readonly keyMask: Tensor | undefined };
