import type { Sample, SampleInput, Tensor } from "@x/tensor";
import { attention, attentionBackward } from "../attention.ts";
import { bools, floats, normal, sliced, transposed } from "./inputs.ts";

interface Size {
  readonly batch?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly queries: number;
  readonly keys?: number;
  readonly dim: number;
  /** Of the values; `dim` if absent. */
  readonly valueDim?: number;
}
const whole = ({ batch = 1, heads = 1, kvHeads = heads, queries, keys = queries, dim, valueDim = dim }: Size) => ({
  batch,
  heads,
  kvHeads,
  queries,
  keys,
  dim,
  valueDim,
});

function qkv(size: Size): { q: SampleInput; k: SampleInput; v: SampleInput } {
  const { batch, heads, kvHeads, queries, keys, dim, valueDim } = whole(size);
  return { q: normal([batch, heads, queries, dim]), k: normal([batch, kvHeads, keys, dim]), v: normal([batch, kvHeads, keys, valueDim]) };
}

const scaleOf = ({ dim }: Size) => dim ** -0.5;

/** Name, shape and mask of each case: forward and backward run them all. */
interface Case extends Size {
  readonly name: string;
  readonly causal?: boolean;
  /** 1 where a key may be seen, row-major over [batch, keys], repeated. */
  readonly keyMask?: readonly number[];
  readonly scale?: number;
}
const cases: readonly Case[] = [
  { name: "one query, one key, one number", queries: 1, dim: 1 },
  { name: "one key: its value", queries: 3, keys: 1, dim: 5 },
  { name: "two batch entries, prime lengths", batch: 2, heads: 3, queries: 13, keys: 17, dim: 8 },
  { name: "causal, prime length", batch: 2, heads: 3, queries: 13, dim: 8, causal: true },
  { name: "causal, fewer queries than keys: the last sees all", heads: 2, queries: 2, keys: 5, dim: 4, causal: true },
  { name: "causal, more queries than keys: the first rows see nothing", heads: 2, queries: 5, keys: 2, dim: 4, causal: true },
  { name: "causal, a row of one query", heads: 2, queries: 1, keys: 9, dim: 8, causal: true },
  { name: "6 heads on 2", batch: 2, heads: 6, kvHeads: 2, queries: 5, dim: 8, causal: true },
  { name: "14 heads on 2", heads: 14, kvHeads: 2, queries: 3, keys: 7, dim: 4 },
  { name: "7 heads on 7", heads: 7, kvHeads: 7, queries: 4, dim: 4, causal: true },
  { name: "4 heads on 1", heads: 4, kvHeads: 1, queries: 6, dim: 8, causal: true },
  { name: "width 40, off the tile", heads: 2, queries: 33, dim: 40, causal: true },
  { name: "width 72, off the tile", heads: 2, kvHeads: 1, queries: 31, keys: 35, dim: 72 },
  { name: "width 64, past the tile", queries: 65, dim: 64, causal: true },
  { name: "width 128", queries: 5, keys: 9, dim: 128, causal: true },
  { name: "width 80 with 96 wide values", queries: 9, dim: 80, valueDim: 96, causal: true },
  { name: "values wider than keys", heads: 2, queries: 7, keys: 6, dim: 3, valueDim: 8 },
  { name: "values narrower than keys", heads: 4, kvHeads: 2, queries: 7, dim: 8, valueDim: 3, causal: true },
  { name: "length 130 by 67", queries: 130, keys: 67, dim: 16, causal: true },
  { name: "length 3 by 300, causal", queries: 3, keys: 300, dim: 8, causal: true },
  { name: "key padding on both sides", batch: 2, heads: 2, queries: 5, dim: 4, keyMask: [0, 0, 1, 1, 1, 1, 1, 1, 0, 0] },
  {
    name: "left padding, causal: the first rows see nothing",
    batch: 2,
    heads: 2,
    queries: 5,
    dim: 4,
    causal: true,
    keyMask: [0, 0, 1, 1, 1, 1, 1, 1, 1, 1],
  },
  {
    name: "a batch entry without keys",
    batch: 3,
    heads: 4,
    kvHeads: 2,
    queries: 3,
    keys: 4,
    dim: 8,
    keyMask: [1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1],
  },
  { name: "a hole beyond the first tile", queries: 4, keys: 70, dim: 8, keyMask: [...new Array<number>(64).fill(0), 1, 0, 1, 1, 0, 1] },
  { name: "scale 1, as T5", heads: 2, queries: 6, dim: 4, scale: 1 },
  { name: "no queries", heads: 2, queries: 0, keys: 3, dim: 4 },
  { name: "no keys: zeros", heads: 2, queries: 3, keys: 0, dim: 4 },
  { name: "an empty batch", batch: 0, heads: 2, queries: 3, dim: 4, causal: true },
];

const attrsOf = (size: Case) => ({ scale: size.scale ?? scaleOf(size), causal: size.causal ?? false });

function inputsOf(size: Case): ReturnType<typeof qkv> & { keyMask?: SampleInput } {
  const { batch, keys } = whole(size);
  return { ...qkv(size), ...(size.keyMask ? { keyMask: bools([batch, keys], ...size.keyMask) } : {}) };
}

const tolerance = { atol: 2e-5, rtol: 2e-5 };

/** The heads of a [batch, length, heads * dim] projection, as a view. */
const split = (x: Tensor, heads: number): Tensor => x.reshape([x.shape[0]!, x.shape[1]!, heads, x.shape[2]! / heads]).permute([0, 2, 1, 3]);
const merged = (x: Tensor): Tensor => x.permute([0, 2, 1, 3]).reshape([x.shape[0]!, x.shape[2]!, x.shape[1]! * x.shape[3]!]);

const views: readonly Sample[] = [
  {
    name: "of transposed and sliced views",
    op: attention,
    inputs: { q: transposed(normal([2, 2, 5, 8])), k: sliced(normal([2, 2, 7, 8])), v: transposed(normal([2, 2, 7, 8])) },
    attrs: { scale: 0.35, causal: true },
    tolerance,
  },
  {
    name: "attention of heads split from projections, grouped, merged again",
    inputs: { q: normal([2, 7, 48]), k: normal([2, 7, 16]), v: normal([2, 7, 16]) },
    build: ({ q, k, v }) => merged(attention({ q: split(q!, 6), k: split(k!, 2), v: split(v!, 2) }, { scale: 8 ** -0.5, causal: true })),
    tolerance,
  },
  {
    name: "attention of one fused projection q | k | v, as GPT-2",
    inputs: { qkv: normal([2, 9, 36]) },
    build: ({ qkv }) => {
      const [q, k, v] = qkv!.split(-1, 3).map((part) => split(part, 3));
      return merged(attention({ q: q!, k: k!, v: v! }, { scale: 0.5, causal: true }));
    },
    tolerance,
  },
  {
    name: "attention of per-head fused projections, as GPT-NeoX",
    inputs: { qkv: normal([1, 6, 30]) },
    build: ({ qkv }) => {
      const heads = qkv!.reshape([1, 6, 2, 15]).permute([0, 2, 1, 3]);
      return attention({ q: heads.slice(-1, 0, 5), k: heads.slice(-1, 5, 10), v: heads.slice(-1, 10, 15) }, { scale: 0.4 });
    },
    tolerance,
  },
];

const large: readonly Sample[] = [
  // Scores of about 1e4: softmax is one-hot, and exp without the row's largest would overflow.
  {
    name: "scores of 1e4",
    op: attention,
    inputs: { q: normal([1, 2, 4, 8], 100), k: normal([1, 2, 5, 8], 100), v: normal([1, 2, 5, 8]) },
    attrs: { scale: 0.35 },
    tolerance: { atol: 2e-3, rtol: 1e-3 },
    gradients: ["v"],
  },
  {
    name: "scores all shifted by 500",
    op: attention,
    inputs: {
      q: floats([1, 1, 3, 2], 25, 1, 25, -1, 25, 0.5),
      k: floats([1, 1, 4, 2], 20, 1, 20, 2, 20, 0, 20, -1),
      v: normal([1, 1, 4, 2]),
    },
    attrs: { scale: 1 },
    tolerance: { atol: 5e-4, rtol: 5e-4 },
  },
];

/** o, lse and the gradients of both are inputs like others; rows that see nothing have an lse of +infinity, as the forward pass leaves it. */
function backwardInputs(size: Case): Sample["inputs"] {
  const { batch, heads, queries, keys, valueDim } = whole(size);
  const outputs = [batch, heads, queries, valueDim];
  return { ...inputsOf(size), o: normal(outputs), lse: lseOf(size, [batch, heads, queries], keys), dO: normal(outputs) };
}

/** Above ln(keys), so that weights stay small; +infinity in rows that see nothing. */
function lseOf(size: Case, shape: readonly number[], keys: number): SampleInput {
  const { batch, heads, queries } = whole(size);
  const sees = (b: number, query: number) =>
    Array.from({ length: keys }, (_, key) => key).some(
      (key) =>
        (!size.causal || key <= query + keys - queries) && (!size.keyMask || size.keyMask[(b * keys + key) % size.keyMask.length] === 1),
    );
  const values = Array.from({ length: batch * heads * queries }, (_, i) =>
    sees(Math.floor(i / (heads * queries)), i % queries) ? Math.log(keys) + 1 + (i % 5) / 4 : Number.POSITIVE_INFINITY,
  );
  return floats(shape, ...values);
}

const gradientTolerance = { atol: 2e-4, rtol: 2e-4 };
const some = cases.find(({ name }) => name.startsWith("left padding"))!;

export const attentionSamples: readonly Sample[] = [
  ...cases.map(
    (size): Sample => ({ name: size.name, op: attention, inputs: inputsOf(size), attrs: attrsOf(size), tolerance, gradientTolerance }),
  ),
  ...views,
  ...large,
  ...cases.map(
    (size): Sample => ({
      name: size.name,
      op: attentionBackward,
      inputs: backwardInputs(size),
      attrs: attrsOf(size),
      tolerance: { atol: 1e-4, rtol: 1e-4 },
      gradientTolerance: { atol: 1e-3, rtol: 1e-3 },
    }),
  ),
  {
    name: "with the gradient of lse as well",
    op: attentionBackward,
    inputs: { ...backwardInputs(some), dLse: normal([2, 2, 5]) },
    attrs: attrsOf(some),
    tolerance: gradientTolerance,
    gradientTolerance: { atol: 1e-3, rtol: 1e-3 },
  },
  {
    name: "with the gradient of lse alone",
    op: attentionBackward,
    inputs: { ...backwardInputs(some), dO: undefined, dLse: normal([2, 2, 5]) },
    attrs: attrsOf(some),
    tolerance: gradientTolerance,
    gradientTolerance: { atol: 1e-3, rtol: 1e-3 },
  },
];
