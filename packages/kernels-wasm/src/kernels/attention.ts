import { attention, attentionBackward } from "@x/ops";
import type { Spec } from "@x/tensor";
import type { LaunchArgs } from "../device/launch.ts";
import { wasmKernel } from "./kernel.ts";
import type { Planner } from "./planner.ts";
import { ceilDiv } from "./work.ts";

/** What the kernels hold of a head in their stack. */
export const largestHead = 256;

export function fitsHead({ q, v }: { readonly q: Spec; readonly v: Spec }): true | string {
  const dim = Math.max(q.shape[3]!, v.shape[3]!);
  return dim <= largestHead || `heads of at most ${largestHead}, got ${dim}`;
}

const isPlain = (
  { map, bias }: { map: Spec | undefined; bias: Spec | undefined },
  { softcap, dropout }: { softcap: number; dropout: number },
) => !(map || bias || softcap || dropout) || "no map, bias, softcap or dropout yet";

/** q, k and v by strides, and their extents. */
export function heads(p: Planner, specs: { readonly q: Spec; readonly k: Spec; readonly v: Spec }) {
  const [q, k, v] = [p.strided("q"), p.strided("k"), p.strided("v")];
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

/** Rows of a tile: a multiple of 24 up to 96, equal ones as far as that goes; smaller when causal, which skips what lies above the diagonal. */
function tileOf(extent: number, causal: boolean): number {
  const most = causal && extent > 96 ? 48 : 96;
  return Math.min(most, ceilDiv(ceilDiv(extent, ceilDiv(extent, most)), 24) * 24);
}

export const attentionKernel = wasmKernel(attention, {
  layout: { q: "rows", k: "rows", v: "rows" },
  accepts: ({ specs, attrs }) => (isPlain(specs, attrs) === true ? fitsHead(specs) : isPlain(specs, attrs)),
  plan(p, { specs, attrs: { scale, causal } }) {
    const { args, batch } = heads(p, specs);
    const lse = p.wanted("lse") ?? p.scratch(4 * batch * args.heads * args.queries);
    launchAttention(p, { ...args, o: p.output("o"), lse, keyMask: p.maybe("keyMask"), causal: causal ? 1 : 0, scale }, batch);
  },
});

/** Flash attention, forward. */
export function launchAttention(
  p: Planner,
  args: Omit<LaunchArgs<"attention">, "qTile"> & ReturnType<typeof heads>["args"],
  batch: number,
): void {
  const { heads: count, queries, keys, dim, valueDim } = args;
  const qTile = tileOf(queries, args.causal === 1);
  const cost = (qTile * keys * (dim + valueDim + 16)) / 4;
  p.run("attention", { ...args, qTile }, batch * count * ceilDiv(queries, qTile), cost);
}

export const attentionBackwardKernel = wasmKernel(attentionBackward, {
  layout: { q: "rows", k: "rows", v: "rows" },
  accepts: ({ specs, attrs }) => (isPlain(specs, attrs) === true ? fitsHead(specs) : isPlain(specs, attrs)),
  plan(p, { specs, attrs: { scale, causal } }) {
    const { args, batch } = heads(p, specs);
    const { heads: count, kvHeads, queries, keys, dim, valueDim } = args;
    const rows = batch * count * queries;
    const delta = p.scratch(4 * rows);
    const grad = p.maybe("dO") ?? p.zeros(rows * valueDim);
    p.run("attention_delta", { delta, o: p.input("o"), grad, dlse: p.maybe("dLse"), valueDim }, rows, valueDim / 2);
    const shared = { ...args, grad, lse: p.input("lse"), delta, keyMask: p.maybe("keyMask"), causal: causal ? 1 : 0, scale };
    const [qTile, kTile] = [tileOf(queries, causal), tileOf(keys, causal)];
    const perRow = (3 * dim + 2 * valueDim) / 4 + 8;
    p.run("attention_grad_q", { ...shared, dq: p.output("dq"), qTile }, batch * count * ceilDiv(queries, qTile), qTile * keys * perRow);
    const units = batch * kvHeads * ceilDiv(keys, kTile);
    const outputs = { dk: p.output("dk"), dv: p.output("dv") };
    p.run("attention_grad_kv", { ...shared, ...outputs, kTile }, units, kTile * queries * (count / kvHeads) * perRow);
  },
});
