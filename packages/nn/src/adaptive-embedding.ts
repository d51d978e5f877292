import { embedding, linear } from "@x/ops";
import type { Parameter, Tensor } from "@x/tensor";
import { type AdaptiveOptions, type Cluster, clustersOf } from "./clusters.ts";
import { parameter } from "./init.ts";
import { Module } from "./module.ts";

/**
 * An embedding in which rarer words have fewer numbers: each cluster has a table of its own width, projected to the model's. i32 [...], clamped to the vocabulary -> [..., dim]. Every position is looked up
 * in every cluster and zeroed where it is of another, as shapes cannot depend on words. Baevski and Auli 2018, arXiv 1809.10853, section 3.
 */
export class AdaptiveEmbedding extends Module {
  /** [words of the cluster, its width], or one [vocabSize, embeddingDim]. */
  readonly tables: readonly Parameter[];
  /** [dim, width] for each table; none where the only table has the model's width. */
  readonly projections: readonly Parameter[];
  readonly #clusters: readonly Cluster[];

  constructor(options: AdaptiveOptions) {
    super();
    const { tables, projected, init, projectionInit } = clustersOf("AdaptiveEmbedding", options);
    this.#clusters = tables;
    this.tables = tables.map(({ start, end, width }) => parameter([end - start, width], init));
    this.projections = projected ? tables.map(({ width }) => parameter([options.dim, width], projectionInit)) : [];
  }

  forward(indices: Tensor): Tensor {
    const last = this.#clusters.at(-1)!.end - 1;
    const words = indices.maximum(0).minimum(last);
    let sum: Tensor | undefined;
    for (const [i, { start, end }] of this.#clusters.entries()) {
      const local = words
        .sub(start)
        .maximum(0)
        .minimum(end - start - 1);
      const rows = embedding({ table: this.tables[i]!, indices: local });
      const weight = this.projections[i];
      if (!weight) return rows;
      const inside = () => words.ge(start).and(words.lt(end)).unsqueeze(-1).expand(rows.shape);
      sum = linear({ x: this.tables.length > 1 ? inside().where(rows, 0) : rows, weight, residual: sum });
    }
    return sum!;
  }
}
