import { attention, attentionBackward } from "@x/ops";
import type { Spec } from "@x/tensor";
import type { LaunchArgs } from "../device/launch.ts";
import { wasmKernel } from "./kernel.ts";
import type { Planner, Strided } from "./planner.ts";
import { ceilDiv } from "./work.ts";

/** What the kernels hold of a head in their stack. */
export const largestHead = 256;

export function fitsHead({ q, v }: { readonly q: Spec; readonly v: Spec }): true | string {
  const dim = Math.max(q.shape[3]!, v.shape[3]!);
  return dim <= largestHead || `heads of at most ${largestHead}, got ${dim}`;
}

/** q, k and v by strides, and their extents; k and v in the type they are stored in, where the kernel makes numbers of them. */
export function heads(p: Planner, specs: { readonly q: Spec; readonly k: Spec; readonly v: Spec }, { stored = false } = {}) {
  const q = p.strided("q");
  const [k, v] = (["k", "v"] as const).map((name) => (stored ? p.raw(name) : p.strided(name))) as [Strided, Strided];
  const [batch, count, queries, dim] = specs.q.shape as [number, number, number, number];
  const [kvHeads, keys, valueDim] = [specs.k.shape[1]!, specs.k.shape[2]!, specs.v.shape[3]!];
  const args = {
    ...{ q: q.place, k: k.place, v: v.place, heads: count, kvHeads, queries, keys, dim, valueDim },
    ...{ qBatch: q.strides[0]!, qHead: q.strides[1]!, qRow: q.strides[2]! },
    ...{ kBatch: k.strides[0]!, kHead: k.strides[1]!, kRow: k.strides[2]! },
    ...{ vBatch: v.strides[0]!, vHead: v.strides[1]!, vRow: v.strides[2]! },
  };
  return { args, batch };
}

/** Queries and keys of a block of a map, which tiles of it take whole. */
const mapBlock = 64;

/** Rows of a tile: a multiple of 24 up to 96, equal ones as far as that goes; smaller when causal, which skips what lies above the diagonal. */
function tileOf(extent: number, { causal, map }: Looking): number {
  if (map || extent === 0) return mapBlock;
  const most = causal === 1 && extent > 96 ? 48 : 96;
  return Math.min(most, ceilDiv(ceilDiv(extent, ceilDiv(extent, most)), 24) * 24);
}

interface Attributes {
  readonly scale: number;
  readonly causal: boolean;
  readonly softcap: number;
  readonly dropout: number;
  readonly ordinal: number;
}
type Heads = ReturnType<typeof heads>["args"];
type Looking = Pick<
  LaunchArgs<"attention">,
  "keyMask" | "map" | "bias" | "reach" | "key" | "ordinal" | "threshold" | "kept" | "softcap"
> & {
  readonly scale: number;
  readonly causal: number;
};

/** How far the table reaches to both sides of distance 0. */
export const reachOf = (p: Planner): number => (p.spec("bias").shape[1]! - 1) / 2;

/** What a score depends on beside q and k, and the draw that drops weights. */
function looking(p: Planner, { scale, causal, softcap, dropout, ordinal }: Attributes): Looking {
  // Below the threshold an element is dropped. With everything dropped nothing may be scaled by 1 / 0.
  const draw = {
    key: p.maybe("key"),
    ordinal: ordinal | 0,
    threshold: Math.ceil(Math.fround(dropout) * 2 ** 24),
    kept: dropout === 1 ? 1 : 1 / (1 - dropout),
  };
  return {
    ...{ keyMask: p.maybe("keyMask"), map: p.maybe("map"), bias: p.maybe("bias"), causal: causal ? 1 : 0, scale, softcap },
    ...(p.has("bias") && { reach: reachOf(p) }),
    ...(dropout > 0 && draw),
  };
}

export const attentionKernel = wasmKernel(attention, {
  layout: { q: "rows", k: "rows", v: "rows" },
  accepts: ({ specs }) => fitsHead(specs),
  plan(p, { specs, attrs }) {
    const { args, batch } = heads(p, specs);
    const lse = p.wanted("lse") ?? p.scratch(4 * batch * args.heads * args.queries);
    launchAttention(p, { ...args, ...looking(p, attrs), o: p.output("o"), lse }, batch);
  },
});

/** Flash attention, forward. */
export function launchAttention(p: Planner, args: Omit<LaunchArgs<"attention">, "qTile"> & Heads & Looking, batch: number): void {
  const { heads: count, queries, keys, dim, valueDim } = args;
  const qTile = tileOf(queries, args);
  const cost = (qTile * keys * (dim + valueDim + 16)) / 4;
  p.run("attention", { ...args, qTile }, batch * count * ceilDiv(queries, qTile), cost);
}

export const attentionBackwardKernel = wasmKernel(attentionBackward, {
  layout: { q: "rows", k: "rows", v: "rows" },
  accepts: ({ specs }) => fitsHead(specs),
  plan(p, { specs, attrs }) {
    const { args, batch } = heads(p, specs);
    const { heads: count, kvHeads, queries, keys, dim, valueDim } = args;
    const rows = batch * count * queries;
    const delta = p.scratch(4 * rows);
    const grad = p.maybe("dO") ?? p.zeros(rows * valueDim);
    p.run("attention_delta", { delta, o: p.input("o"), grad, dlse: p.maybe("dLse"), valueDim }, rows, valueDim / 2);
    const shared = { ...args, ...looking(p, attrs), grad, lse: p.input("lse"), delta };
    const kTile = tileOf(keys, shared);
    const [tiles, partSize] = [ceilDiv(keys, kTile), rows * dim];
    const parts = partsOf(batch * kvHeads, tiles);
    const [dq, dk, dv] = [p.output("dq"), p.output("dk"), p.output("dv")];
    const dqs = parts === 1 ? dq : p.scratch(4 * parts * partSize);
    const perTile = kTile * queries * (count / kvHeads) * ((3 * dim + 2 * valueDim) / 4 + 8);
    p.run(
      "attention_grad",
      { ...shared, dq: dqs, dk, dv, kTile, parts, partSize },
      batch * kvHeads * parts,
      ceilDiv(tiles, parts) * perTile,
    );
    if (parts > 1) p.run("attention_grad_sum", { dq, dqs, dim, parts, partSize }, rows, (parts * dim) / 4);
    if (attrs.biasGradient) launchBiasGradient(p, shared, batch);
  },
});

/** Into how many parts the tiles of a head of keys go, so that threads have work: by the shape alone, so that the sums are the same on any number of them. Each takes the memory of a dq, and four tiles or more. */
const partsOf = (heads: number, tiles: number): number => Math.max(1, Math.min(ceilDiv(16, Math.max(1, heads)), 8, Math.floor(tiles / 4)));

/** By diagonals of blocks, then over neighbouring ones. */
function launchBiasGradient(p: Planner, shared: Omit<LaunchArgs<"attention_grad_bias">, "partial" | "batch"> & Heads, batch: number): void {
  const { heads: count, queries, keys, dim, valueDim, map } = shared;
  const diagonals = queries > 0 && keys > 0 ? ceilDiv(queries, mapBlock) + ceilDiv(keys, mapBlock) - 1 : 0;
  const partial = p.scratch(4 * count * diagonals * 2 * mapBlock);
  const cost = batch * Math.min(queries, keys) * mapBlock * ((dim + valueDim) / 4 + 8);
  p.run("attention_grad_bias", { ...shared, partial, batch }, count * diagonals, cost);
  p.run(
    "attention_bias_sum",
    { dbias: p.output("dBias"), partial, map, queries, keys, reach: reachOf(p) },
    count,
    diagonals * 2 * mapBlock,
  );
}
