import type { Sample, SampleInput, Tensor } from "@x/tensor";
import { decodeAttention } from "../decode-attention.ts";
import { writeRows } from "../write-rows.ts";
import { bools, floats, ints, normal, transposed } from "./inputs.ts";

type Shape = readonly [batch: number, heads: number, length: number, dim: number];
interface Case {
  readonly name: string;
  readonly q: Shape;
  readonly kvHeads: number;
  readonly capacity: number;
  readonly lengths: readonly number[];
  readonly valueDim?: number;
  readonly keyMask?: readonly number[];
}
const cases: readonly Case[] = [
  { name: "the first token", q: [1, 1, 1, 4], kvHeads: 1, capacity: 1, lengths: [1] },
  { name: "one new token, lengths differ", q: [3, 2, 1, 8], kvHeads: 2, capacity: 12, lengths: [1, 5, 12] },
  { name: "6 heads on 2", q: [2, 6, 1, 8], kvHeads: 2, capacity: 7, lengths: [7, 3] },
  { name: "14 heads on 2", q: [1, 14, 1, 4], kvHeads: 2, capacity: 9, lengths: [6] },
  { name: "7 heads on 1", q: [2, 7, 1, 5], kvHeads: 1, capacity: 6, lengths: [4, 6] },
  { name: "a chunk of tokens, each sees those before it", q: [2, 4, 3, 8], kvHeads: 2, capacity: 10, lengths: [3, 9] },
  { name: "a chunk longer than the cache is filled: the first rows see nothing", q: [1, 2, 5, 4], kvHeads: 2, capacity: 6, lengths: [3] },
  { name: "an empty cache: zeros", q: [2, 2, 1, 4], kvHeads: 1, capacity: 5, lengths: [0, 2] },
  { name: "width 40, a long cache", q: [1, 2, 1, 40], kvHeads: 1, capacity: 133, lengths: [130] },
  { name: "width 72", q: [1, 3, 1, 72], kvHeads: 3, capacity: 19, lengths: [17] },
  { name: "width 64, past a tile of keys", q: [2, 2, 1, 64], kvHeads: 2, capacity: 70, lengths: [65, 70] },
  { name: "values of another width", q: [2, 4, 1, 8], kvHeads: 2, capacity: 6, lengths: [5, 6], valueDim: 3 },
  { name: "left padding", q: [2, 2, 1, 4], kvHeads: 2, capacity: 5, lengths: [4, 4], keyMask: [0, 0, 1, 1, 1, 1, 1, 1, 1, 1] },
  {
    name: "a mask that leaves nothing",
    q: [2, 2, 2, 4],
    kvHeads: 1,
    capacity: 5,
    lengths: [3, 5],
    keyMask: [0, 0, 0, 1, 1, 1, 0, 1, 0, 1],
  },
  { name: "an empty batch", q: [0, 2, 1, 4], kvHeads: 2, capacity: 5, lengths: [] },
];

/** A cache whose rows from `length` on hold NaN: whoever multiplies them by a weight of 0 gives NaN. */
function poisoned({ q: [batch], kvHeads, capacity, lengths }: Case, dim: number): SampleInput {
  const values = Array.from({ length: batch * kvHeads * capacity * dim }, (_, i) => {
    const [entry, row] = [Math.floor(i / (kvHeads * capacity * dim)), Math.floor(i / dim) % capacity];
    return row < lengths[entry]! ? Math.sin(1 + i * 0.7) : Number.NaN;
  });
  return floats([batch, kvHeads, capacity, dim], ...values);
}

function inputsOf(size: Case, cache: (dim: number) => SampleInput): Sample["inputs"] {
  const { q, capacity, lengths, valueDim = q[3], keyMask } = size;
  const mask = keyMask ? { keyMask: bools([q[0], capacity], ...keyMask) } : {};
  return { q: normal(q), k: cache(q[3]), v: cache(valueDim), lengths: ints([q[0]], ...lengths), ...mask };
}

const tolerance = { atol: 2e-5, rtol: 2e-5 };
const attrsOf = ({ q }: Case) => ({ scale: q[3] ** -0.5 });

const decoding = cases.flatMap((size): Sample[] => [
  {
    name: size.name,
    op: decodeAttention,
    inputs: inputsOf(size, (dim) => normal([size.q[0], size.kvHeads, size.capacity, dim])),
    attrs: attrsOf(size),
    tolerance,
    gradientTolerance: { atol: 1e-4, rtol: 1e-4 },
  },
  {
    name: `${size.name}, the rest poisoned`,
    op: decodeAttention,
    inputs: inputsOf(size, (dim) => poisoned(size, dim)),
    attrs: attrsOf(size),
    tolerance,
    gradientTolerance: { atol: 1e-4, rtol: 1e-4 },
  },
]);

const heads = (x: Tensor, count: number): Tensor => x.reshape([x.shape[0]!, x.shape[1]!, count, x.shape[2]! / count]).permute([0, 2, 1, 3]);

const writing: readonly Sample[] = [
  { name: "one row", op: writeRows, inputs: { cache: normal([1, 1, 1, 1]), x: normal([1, 1, 1, 1]), starts: ints([1], 0) } },
  {
    name: "one row an entry, at its own place",
    op: writeRows,
    inputs: { cache: normal([3, 2, 5, 4]), x: normal([3, 2, 1, 4]), starts: ints([3], 0, 4, 2) },
  },
  { name: "a chunk", op: writeRows, inputs: { cache: normal([2, 3, 7, 5]), x: normal([2, 3, 4, 5]), starts: ints([2], 0, 3) } },
  { name: "the whole cache", op: writeRows, inputs: { cache: normal([2, 1, 6, 3]), x: normal([2, 1, 6, 3]), starts: ints([2], 0) } },
  {
    name: "rows past the end are dropped",
    op: writeRows,
    inputs: { cache: normal([2, 1, 4, 3]), x: normal([2, 1, 3, 3]), starts: ints([2], 2, 4) },
  },
  {
    name: "rows before the start are dropped",
    op: writeRows,
    inputs: { cache: normal([2, 1, 4, 3]), x: normal([2, 1, 3, 3]), starts: ints([2], -1, -3) },
  },
  { name: "no rows", op: writeRows, inputs: { cache: normal([2, 1, 4, 3]), x: normal([2, 1, 0, 3]), starts: ints([2], 1) } },
  { name: "no entries", op: writeRows, inputs: { cache: normal([0, 1, 4, 3]), x: normal([0, 1, 2, 3]), starts: ints([0]) } },
  {
    name: "a transposed row block",
    op: writeRows,
    inputs: { cache: normal([2, 2, 8, 6]), x: transposed(normal([2, 2, 3, 6])), starts: ints([2], 5, 1) },
  },
  {
    name: "writeRows of heads split from a projection",
    inputs: { cache: normal([2, 3, 7, 4]), x: normal([2, 2, 12]), starts: ints([2], 0, 5) },
    build: ({ cache, x, starts }) => writeRows({ cache: cache!, x: heads(x!, 3), starts: starts! }),
  },
];

export const decodeAttentionSamples: readonly Sample[] = [
  ...decoding,
  {
    name: "decodeAttention of a head split from a projection",
    inputs: { q: normal([2, 1, 24]), k: normal([2, 2, 9, 4]), v: normal([2, 2, 9, 4]), lengths: ints([2], 4, 9) },
    build: ({ q, k, v, lengths }) => decodeAttention({ q: heads(q!, 6), k: k!, v: v!, lengths: lengths! }, { scale: 0.5 }),
    tolerance,
  },
  ...writing,
];
