/** The work of `pnpm bench attention`: causal attention and layers by length, block maps, decoding. */

/** Attention of one batch on `q`, `k` and `v` of `[heads, tokens, width]`, scaled by `1 / sqrt(width)`. */
export interface AttentionWorkload {
  kind: "attention";
  name: string;
  heads: number;
  tokens: number;
  width: number;
  causal: boolean;
  /** Forward and backward: the gradients of `sum(o * g)` with respect to `q`, `k` and `v`, in this order. Otherwise forward alone. */
  training?: true;
}

export const layers = ["dense", "longformer", "bigbird", "performer"] as const;

/** A layer of `heads` of `dim / heads`, projections included, on `x [1, tokens, dim]`, that looks in both directions. */
export interface LayerWorkload {
  kind: "layer";
  name: string;
  layer: (typeof layers)[number];
  dim: number;
  heads: number;
  tokens: number;
  /** Forward and backward: the gradients of `sum(y * g)` with respect to `x` and the weights. Otherwise forward alone. */
  training?: true;
}

export const mapPatterns = ["window", "global", "blocks"] as const;

/** Making the block map of a pattern on the host; or, of `again`, asking for the one that was made. */
export interface BlockMapWorkload {
  kind: "blockmap";
  name: string;
  pattern: (typeof mapPatterns)[number];
  tokens: number;
  again?: true;
}

export const cacheKinds = ["contiguous", "sliding", "paged", "quantized"] as const;

/** One token through a layer of `heads` of `width`, projections included, over a cache of `tokens`. */
export interface DecodeWorkload {
  kind: "decode";
  name: string;
  cache: (typeof cacheKinds)[number];
  heads: number;
  width: number;
  tokens: number;
}

const heads = { heads: 8, width: 64 };
const layer = { heads: 8, dim: 512 };
export const longest = 131_072;

/** The lengths of causal attention. */
export const causalLengths = [256, 512, 1024, 2048, 4096, 8192, 16_384];
/** The lengths of layers, whose time should grow with them alone. */
export const layerLengths = [4096, 8192, 16_384, 32_768];

const passes = [["forward"], ["training", { training: true }]] as const;

export const attentionWorks: (AttentionWorkload | LayerWorkload | BlockMapWorkload | DecodeWorkload)[] = [
  ...passes.flatMap(([pass, training]) =>
    causalLengths.map(
      (tokens): AttentionWorkload => ({ kind: "attention", name: `causal-${pass}-${tokens}`, ...heads, tokens, causal: true, ...training }),
    ),
  ),
  ...passes.flatMap(([pass, training]) =>
    layers.flatMap((name) =>
      layerLengths.map(
        (tokens): LayerWorkload => ({ kind: "layer", name: `${name}-${pass}-${tokens}`, layer: name, ...layer, tokens, ...training }),
      ),
    ),
  ),
  { kind: "layer", name: `longformer-forward-${longest}`, layer: "longformer", ...layer, tokens: longest },
  ...mapPatterns.map(
    (pattern): BlockMapWorkload => ({ kind: "blockmap", name: `blockmap-${pattern}-${longest}`, pattern, tokens: longest }),
  ),
  { kind: "blockmap", name: `blockmap-again-${longest}`, pattern: "window", tokens: longest, again: true },
  ...cacheKinds.map((cache): DecodeWorkload => ({ kind: "decode", name: `decode-${cache}-4096`, cache, ...heads, tokens: 4096 })),
];

/** The works of a series differ by length alone; undefined for what is measured at one length. */
export function seriesOf(work: { kind: string; name: string }): string | undefined {
  if (work.kind === "layer") return work.name.slice(0, work.name.lastIndexOf("-"));
  return /^causal-/.test(work.name) ? work.name.slice(0, work.name.lastIndexOf("-")) : undefined;
}

/** With which power of the length the time of a work should grow, at most. */
export const growth = (work: { kind: string; layer?: string }): number => (work.kind === "layer" && work.layer !== "dense" ? 1 : 2);

/** Bytes of all scores, with their gradients, which whoever does not work block by block has to hold. */
export function scoresBytes({ heads: count, tokens, training }: AttentionWorkload): number {
  return (training ? 2 : 1) * 4 * count * tokens ** 2;
}
