import type { Sample, SampleInput, Tensor } from "@x/tensor";
import { attention, attentionBackward } from "../attention.ts";
import { attrsOf, type Case, cases, inputsOf, seesAny, whole } from "./attention-cases.ts";
import { floats, normal, sliced, transposed } from "./inputs.ts";

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
  const values = Array.from({ length: batch * heads * queries }, (_, i) =>
    seesAny(size, Math.floor(i / (heads * queries)), Math.floor(i / queries) % heads, i % queries)
      ? Math.log(keys) + 1 + (i % 5) / 4
      : Number.POSITIVE_INFINITY,
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
      attrs: { ...attrsOf(size), biasGradient: size.reach !== undefined },
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
