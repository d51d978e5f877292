import { arange, noGrad, type Tensor } from "@x/tensor";
import { Chunks } from "./chunks.ts";
import { beforeEach, endsBefore, nothing } from "./prefix.ts";
import { type KeysAndValues, type Sums, withFloor } from "./sums.ts";

/** All that causal attention remembers of the keys before. */
export interface Carried {
  /** sum of phi(k) v, [batch, kvHeads, features, valueDim] */
  readonly sums: Tensor;
  /** sum of phi(k), [batch, kvHeads, features, 1] */
  readonly keySums: Tensor;
  /** The largest logScale so far, by whose exponential both are divided, [batch, kvHeads, 1, 1]: where keys have a logScale. */
  readonly stabilizer?: Tensor | undefined;
  /** sum of v, [batch, kvHeads, 1, valueDim], and how many they were, [batch, 1, 1, 1]: where keys have a floor beside their logScale. */
  readonly valueSum?: Tensor | undefined;
  readonly keyCount?: Tensor | undefined;
}

export interface CausalOptions {
  readonly chunk: number;
  /** Added to each entry of the sum of phi(k). */
  readonly keySumEps: number;
  readonly before?: Carried | undefined;
}

/** Logarithms of scales: of each position, the largest up to it, the largest up to the end of each chunk, and up to the end of the chunk before. */
interface Scales {
  readonly own: Tensor;
  readonly running: Tensor;
  readonly ends: Tensor;
  readonly endsBefore: Tensor;
}

/** sum of v and number of keys up to each position, which the floor of their features multiplies. */
interface FloorSums {
  readonly values: Tensor;
  readonly counts: Tensor;
}

/**
 * Sums over the keys up to each query, by chunks: within one by a product of queries and keys, over those before by the sums that they carry on. q features [batch, heads, length, features], the keys' as many. Keys
 * with a logScale are taken relative to the largest so far, so that no later key changes an earlier result, be it by rounding. The work is linear in length; memory holds sums for each chunk, never for each position.
 */
export function causalSums(q: Tensor, given: KeysAndValues, options: CausalOptions): Sums & { readonly carried: Carried | undefined } {
  const { chunk, keySumEps, before } = options;
  const [, heads, length] = q.shape as [number, number, number];
  const chunks = new Chunks({ heads, kvHeads: given.v.shape[1]!, length, chunk });
  const { keys, present } = withFloor(given);
  const v = chunks.fill(given.v);
  const scales = keys.logScale && scalesOf(chunks, keys.logScale, before?.stabilizer);
  const floors = keys.floor > 0 ? floorSums(v, present && chunks.fill(present), before) : undefined;

  const [rows, k, values] = [chunks.queryRows(q), chunks.cut(chunks.fill(keys.values)), chunks.cut(v)];
  const weighted = scales ? k.mul(scales.own.sub(scales.ends).exp()) : k;
  const chunkSums = [weighted.transpose().matmul(values), weighted.sum(3).unsqueeze(-1)];
  const earlier = beforeChunks(chunkSums, scales, before);
  const running = scales && chunks.perRow(chunks.cut(scales.running));
  const carry = (x: Tensor) => (scales ? x.mul(scales.endsBefore.sub(running!).exp()) : x);

  const weights = withinChunks(chunks, rows.matmul(k.transpose()), scales?.own.transpose().sub(running!));
  const parts = [weights.matmul(values), weights.sum(-1, { keepDims: true })].map((own, i) =>
    earlier ? own.add(carry(rows.matmul(earlier[i]!))) : own,
  );
  const total = rows.sum(-1, { keepDims: true });
  const floored = floors && [floors.values, floors.counts].map((x) => chunks.perRow(chunks.cut(x)).mul(total.mul(keys.floor)));
  const [numerator, denominator] = (floored ? parts.map((part, i) => part.add(floored[i]!)) : parts) as [Tensor, Tensor];
  return {
    numerator: chunks.perHead(numerator),
    denominator: chunks.perHead(keySumEps > 0 ? denominator.add(total.mul(keySumEps)) : denominator),
    stabilizer: scales?.running.slice(2, 0, length),
    carried: before && carriedAfter(length - 1, chunkSums, earlier, scales, floors),
  };
}

function scalesOf(chunks: Chunks, logScale: Tensor, first: Tensor | undefined): Scales {
  const own = chunks.fill(logScale, nothing);
  return {
    own: chunks.cut(own),
    ...noGrad(() => {
      const running = first ? own.cummax(2).maximum(first) : own.cummax(2);
      const ends = chunks.cut(running).slice(3, chunks.chunk - 1, chunks.chunk);
      return { running, ends, endsBefore: endsBefore(ends, first?.unsqueeze(2)) };
    }),
  };
}

function floorSums(v: Tensor, present: Tensor | undefined, before: Carried | undefined): FloorSums {
  const length = v.shape[2]!;
  const counted = present?.cumsum(2) ?? arange(length, { dtype: v.dtype, device: v.device }).add(1).reshape([1, 1, length, 1]);
  const summed = v.cumsum(2);
  return { values: before ? summed.add(before.valueSum!) : summed, counts: before ? counted.add(before.keyCount!) : counted };
}

/** For each chunk the sums before it, relative to the end of the one before; undefined where there is nothing before anything. */
function beforeChunks(chunkSums: readonly Tensor[], scales: Scales | undefined, before: Carried | undefined): Tensor[] | undefined {
  const several = chunkSums[0]!.shape[2]! > 1;
  const within = several ? beforeEach(chunkSums, scales?.ends) : undefined;
  if (!before) return within;
  const decay = scales && before.stabilizer!.unsqueeze(2).sub(scales.endsBefore).exp();
  return [before.sums, before.keySums].map((x, i) => {
    const carried = decay ? x.unsqueeze(2).mul(decay) : x.unsqueeze(2);
    return within ? within[i]!.add(carried) : carried;
  });
}

/** Products [..., rows, chunk] of queries and the keys up to them, times exp(differences) where given; the rest are zeros. */
function withinChunks(chunks: Chunks, products: Tensor, differences: Tensor | undefined): Tensor {
  const { device } = products;
  const position = arange(chunks.rows, { device }).mod(chunks.chunk).unsqueeze(1);
  const seen = arange(chunks.chunk, { device }).le(position).expand(products.shape);
  return differences ? products.mul(seen.where(differences, nothing).exp()) : seen.where(products, 0);
}

function carriedAfter(
  last: number,
  chunkSums: readonly Tensor[],
  earlier: readonly Tensor[] | undefined,
  scales: Scales | undefined,
  floors: FloorSums | undefined,
): Carried {
  const at = chunkSums[0]!.shape[2]! - 1;
  const lastChunk = (x: Tensor) => x.slice(2, at, at + 1).squeeze(2);
  const decay = scales && lastChunk(scales.endsBefore.sub(scales.ends).exp());
  const [sums, keySums] = chunkSums.map((x, i) => {
    const rest = earlier && lastChunk(earlier[i]!);
    return rest ? lastChunk(x).add(decay ? rest.mul(decay) : rest) : lastChunk(x);
  }) as [Tensor, Tensor];
  const lastOf = (x: Tensor | undefined) => x?.slice(2, last, last + 1);
  return { sums, keySums, stabilizer: lastOf(scales?.running), valueSum: lastOf(floors?.values), keyCount: lastOf(floors?.counts) };
}
