import { TensorError } from "@x/tensor";
import { expectCounts } from "./expect.ts";
import { type Init, normal } from "./init.ts";

export interface AdaptiveOptions {
  /** Words, the most frequent first. */
  readonly vocabSize: number;
  /** The first word of each cluster but the first, ascending; none: one cluster. */
  readonly cutoffs: readonly number[];
  /** Width of the model. */
  readonly dim: number;
  /** Numbers for a word of the first cluster; dim if absent. */
  readonly embeddingDim?: number;
  /** A word of cluster i has embeddingDim / divValue^i numbers, rounded down. With 1 all clusters share one table. */
  readonly divValue?: number;
  readonly init?: Init;
  /** Of the projections between clusters and the model. */
  readonly projectionInit?: Init;
}

/** Words start ... end - 1, of `width` numbers each. */
export interface Cluster {
  readonly start: number;
  readonly end: number;
  readonly width: number;
}

export interface Clusters {
  readonly clusters: readonly Cluster[];
  /** The tables they lie in: one each, or one of all. */
  readonly tables: readonly Cluster[];
  /** Whether they are projected to the model's width: always, unless they lie in one table of that width already. */
  readonly projected: boolean;
  readonly init: Init;
  readonly projectionInit: Init;
}

/** The clusters of a vocabulary, checked. */
export function clustersOf(
  who: string,
  { vocabSize, cutoffs, dim, embeddingDim = dim, divValue = 1, init = normal(0.02), projectionInit = normal(0.01) }: AdaptiveOptions,
): Clusters {
  expectCounts(who, { vocabSize, dim, embeddingDim, divValue });
  const edges = [0, ...cutoffs, vocabSize];
  if (!edges.every((edge, i) => Number.isSafeInteger(edge) && (i === 0 || edge > edges[i - 1]!)))
    throw new TensorError(
      `${who}: cutoffs must be whole numbers that ascend between 0 and vocabSize ${vocabSize}, got [${cutoffs.join(", ")}].`,
    );
  const clusters = edges.slice(1).map((end, i) => ({ start: edges[i]!, end, width: Math.floor(embeddingDim / divValue ** i) }));
  const empty = clusters.findIndex(({ width }) => width === 0);
  if (empty !== -1)
    throw new TensorError(
      `${who}: cluster ${empty} has no numbers left of embeddingDim ${embeddingDim} after dividing by divValue ${divValue} ${empty} times. Use fewer cutoffs, or a smaller divValue.`,
    );
  const tables = divValue === 1 ? [{ start: 0, end: vocabSize, width: embeddingDim }] : clusters;
  return { clusters, tables, projected: divValue !== 1 || embeddingDim !== dim, init, projectionInit };
}
