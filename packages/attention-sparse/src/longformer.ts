import { expectChoice, expectCounts, isTraining, joinHeads, Linear, Module, splitHeads } from "@x/nn";
import { attention } from "@x/ops";
import { statisticsOf, Tensor, TensorError, zeros } from "@x/tensor";
import { DilationBias, type WindowCache } from "./cached.ts";
import { addRows, fixedTokens, type GlobalTokens, maskedTokens, takeRows } from "./global-tokens.ts";
import { attendHeads, checkInput, checkRates, headDimOf, keepRows } from "./heads.ts";
import { hideLaterKeys, hideLaterSlots } from "./hidden.ts";
import { LongformerMaps } from "./longformer-maps.ts";
import { dilationOf, type LongformerOptions, reachOf, tokensOf } from "./longformer-options.ts";
import { mapBlock, neighbourBlocks, slidingWindow } from "./patterns.ts";

export interface LongformerCall {
  /** bool [batch, length]: false where there is only padding, which nobody sees and which gives zeros before the last projection. */
  readonly keyMask?: Tensor | undefined;
  /** bool [batch, length]: true where a token is global. Entries may have different numbers of them, up to globalSlots. */
  readonly globalMask?: Tensor | undefined;
  /** Keys and values of earlier calls, of a causal layer without global tokens: a layer of one of `@x/attention`'s caches. A SlidingKvCache keeps reach times the largest dilation, and one more. */
  readonly cache?: WindowCache | undefined;
}

const who = "LongformerAttention";

/**
 * Longformer's self-attention, [batch, length, dim] -> [batch, length, dim], of any length. A query sees the keys within its window and every global token, in one softmax. A global token sees everything,
 * through projections of its own, and what its window would give is left out. Time and memory grow with length times (window + global tokens). Beltagy, Peters and Cohan 2020, arXiv 2004.05150, section 3.
 */
export class LongformerAttention extends Module {
  readonly numHeads: number;
  readonly headDim: number;
  /** One side of the window. */
  readonly reach: number;
  readonly dilation: readonly number[];
  readonly causal: boolean;
  readonly mode: "sliding" | "noOverlap";
  readonly globalTokens: readonly number[];
  readonly globalSlots: number;
  readonly scale: number;
  readonly dropout: number;
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly queryGlobal: Linear | undefined;
  readonly keyGlobal: Linear | undefined;
  readonly valueGlobal: Linear | undefined;
  readonly output: Linear;
  readonly #maps: LongformerMaps;
  readonly #dilation: DilationBias;

  constructor(options: LongformerOptions) {
    super();
    const { dim, numHeads, headDim, causal = false, mode = "sliding", globalSlots = 64, globalProjections = true } = options;
    const { bias = true, outputBias = bias, init, outputInit = init } = options;
    expectCounts(who, { dim, numHeads, globalSlots, ...(headDim !== undefined && { headDim }) });
    expectChoice(who, "mode", mode, ["sliding", "noOverlap"]);
    this.numHeads = numHeads;
    this.headDim = headDimOf(who, options);
    this.reach = reachOf(who, options);
    this.dilation = dilationOf(who, options);
    this.causal = causal;
    this.mode = mode;
    this.globalTokens = tokensOf(who, options);
    this.globalSlots = globalSlots;
    this.scale = options.scale ?? 1 / Math.sqrt(this.headDim);
    this.dropout = options.dropout ?? 0;
    checkRates(who, this);
    const width = numHeads * this.headDim;
    const projection = () => new Linear({ inputDim: dim, outputDim: width, bias, init });
    this.query = projection();
    this.key = projection();
    this.value = projection();
    this.queryGlobal = globalProjections ? projection() : undefined;
    this.keyGlobal = globalProjections ? projection() : undefined;
    this.valueGlobal = globalProjections ? projection() : undefined;
    this.output = new Linear({ inputDim: width, outputDim: dim, bias: outputBias, init: outputInit });
    const local = (dilation: number) =>
      mode === "noOverlap" ? neighbourBlocks(this.reach, { causal }) : slidingWindow(this.reach, { dilation, causal });
    const steps = this.dilation.length === 1 ? new Array<number>(numHeads).fill(this.dilation[0]!) : this.dilation;
    this.#dilation = new DilationBias(steps, this.reach);
    this.#maps = new LongformerMaps(this.dilation.map(local), causal);
  }

  forward(x: Tensor, { keyMask, globalMask, cache }: LongformerCall = {}): Tensor {
    checkInput(who, x, this.query.inputDim, { keyMask, globalMask });
    if (globalMask && this.globalTokens.length > 0)
      throw new TensorError(`${who}: globalMask came, and the layer has globalTokens ${this.globalTokens.join(", ")}. Use one of the two.`);
    const projected = { q: this.query.forward(x), k: this.key.forward(x), v: this.value.forward(x) };
    if (cache) {
      this.#checkCached({ keyMask, globalMask });
      return this.output.forward(this.#overCache(projected, cache));
    }
    if (globalMask) {
      const tokens = maskedTokens(keyMask ? globalMask.and(keyMask) : globalMask, this.globalSlots);
      return this.output.forward(this.#withTokens(x, this.#behindSlots(projected, tokens, keyMask), tokens, keyMask));
    }
    const [batch, length] = x.shape as [number, number];
    const fixed = this.globalTokens.filter((token) => token < length);
    const local = attendHeads(who, { ...projected, keyMask, map: this.#maps.windows(length, fixed, x.device) }, this);
    if (fixed.length === 0) return this.output.forward(keepRows(keyMask, local));
    const tokens = fixedTokens(this.#maps.positions(fixed, x.device), [batch, length], keyMask);
    return this.output.forward(this.#withTokens(x, local, tokens, keyMask));
  }

  /** Global tokens differ by entry: their keys stand once more before the sequence, where every query sees them, and are hidden within it. */
  #behindSlots({ q, k, v }: Record<"q" | "k" | "v", Tensor>, tokens: GlobalTokens, keyMask: Tensor | undefined): Tensor {
    const [batch, length, width] = k.shape as [number, number, number];
    // Whole blocks of slots, so that the sequence behind them stays aligned with its queries.
    const slots = Math.ceil(this.globalSlots / mapBlock) * mapBlock;
    const free = slots - this.globalSlots;
    const behind = (rows: Tensor) => Tensor.concat([takeRows(rows, tokens), zeros([batch, free, width], rows), rows], 1);
    const local = keyMask ? tokens.at.not().and(keyMask) : tokens.at.not();
    const none = zeros([batch, free], { dtype: "bool", device: q.device });
    const seen = Tensor.concat([tokens.used, none, local], 1);
    const map = this.#maps.behind(slots, length, q.device);
    const more = this.causal ? hideLaterSlots(tokens, length, slots + length, this.scale, q) : undefined;
    return attendHeads(who, { q, k: behind(k), v: behind(v), keyMask: seen, map, more }, this);
  }

  /** What windows gave [batch, length, width], with the rows of global tokens in their place and zeros in that of padding. */
  #withTokens(x: Tensor, local: Tensor, tokens: GlobalTokens, keyMask: Tensor | undefined): Tensor {
    const { queryGlobal = this.query, keyGlobal = this.key, valueGlobal = this.value } = this;
    const asked = { q: queryGlobal.forward(takeRows(x, tokens)), k: keyGlobal.forward(x), v: valueGlobal.forward(x) };
    const more = this.causal ? hideLaterKeys(tokens, x.shape[1]!, this.scale, asked.q) : undefined;
    const seen = attendHeads(who, { ...asked, keyMask, more }, this);
    const others = tokens.at.not();
    const all = addRows(keepRows(keyMask ? others.and(keyMask) : others, local), seen, tokens);
    const { complete } = tokens;
    return complete ? complete.reshape([-1, 1, 1]).expand(all.shape).where(all, Number.NaN) : all;
  }

  /** The windows of new queries over what is cached. A first call is the whole sequence, and goes by its block map. */
  #overCache({ q, k, v }: Record<"q" | "k" | "v", Tensor>, cache: WindowCache): Tensor {
    const { scale, numHeads } = this;
    const map = this.#maps.windows(q.shape[1]!, [], q.device);
    const heads = { q: splitHeads(q, numHeads), k: splitHeads(k, numHeads), v: splitHeads(v, numHeads) };
    const o = cache.attend(heads, {
      ...{ scale, softcap: 0, window: this.#dilation.farthest + 1 },
      bias: (reach) => this.#dilation.table(reach, q.device)?.cast(statisticsOf(q.dtype)),
      whole: (all, present) => attention({ ...all, keyMask: present, map }, { scale }),
    });
    return joinHeads(o);
  }

  /** A cache keeps a window: whatever would look otherwise is refused, not left out. */
  #checkCached(masks: Readonly<Record<string, Tensor | undefined>>): void {
    const refuse = (what: string, instead: string): never => {
      throw new TensorError(`${who}: ${what} does not act over a cache. ${instead}`);
    };
    if (!this.causal) throw new TensorError(`${who}: a cache needs causal attention; set causal: true.`);
    if (this.mode === "noOverlap") refuse('mode "noOverlap"', 'Leave the cache out, or take mode "sliding".');
    if (this.globalTokens.length > 0) refuse("globalTokens", "Leave the cache out and attend to the whole sequence.");
    if (this.dropout > 0 && isTraining()) refuse("dropout", "Leave the cache out, or wrap the call in withTraining(false, ...).");
    for (const [name, mask] of Object.entries(masks))
      if (mask)
        refuse(
          name,
          name === "keyMask"
            ? "Padding on the left is the cache's: reset(padding)."
            : "Leave the cache out and attend to the whole sequence.",
        );
  }
}
