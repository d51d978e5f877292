import { linear, linearCrossEntropy, logSoftmax } from "@x/ops";
import { type Parameter, ShapeError, show, Tensor, TensorError } from "@x/tensor";
import type { AdaptiveEmbedding } from "./adaptive-embedding.ts";
import { type AdaptiveOptions, type Clusters, clustersOf } from "./clusters.ts";
import { expectChoice } from "./expect.ts";
import { parameter, zerosInit } from "./init.ts";
import { Module } from "./module.ts";

export interface AdaptiveLogSoftmaxOptions extends AdaptiveOptions {
  /** An embedding of the same words, whose parameters serve here too: its tables unless `tables` is false, and its projections where the list says so for a cluster. */
  readonly tied?: { readonly embedding: AdaptiveEmbedding; readonly tables?: boolean; readonly projections?: readonly boolean[] };
  /** Which output of the head stands for which cluster: "ascending" in what transformers and the TensorFlow original compute, "descending" in the PyTorch original. Differs from two tail clusters on. */
  readonly clusterOrder?: "ascending" | "descending";
}

const none = -100;

/**
 * Log-probabilities over a large vocabulary in clusters. The head chooses among the words of the first cluster and the other clusters; log p of another word is log p of its cluster plus log p within it. x
 * [..., dim] -> [..., vocabSize]. Grave et al. 2016, arXiv 1609.04309, section 4, with the projections of Transformer-XL (Dai et al. 2019).
 */
export class AdaptiveLogSoftmax extends Module {
  readonly vocabSize: number;
  /** [words of the cluster, its width], or one [vocabSize, embeddingDim]. */
  readonly weights: readonly Parameter[];
  /** [words of the cluster], or one [vocabSize]. */
  readonly biases: readonly Parameter[];
  /** [dim, width] for each cluster; none where the only table has the model's width. */
  readonly projections: readonly Parameter[];
  /** [clusters but the first, embeddingDim] and [clusters but the first]; none where there is one cluster. */
  readonly clusterWeight: Parameter | undefined;
  readonly clusterBias: Parameter | undefined;
  readonly #clusters: Clusters["clusters"];
  readonly #dim: number;
  readonly #descends: boolean;

  constructor(options: AdaptiveLogSoftmaxOptions) {
    super();
    const who = "AdaptiveLogSoftmax";
    const { dim, vocabSize, tied, clusterOrder = "ascending" } = options;
    const { clusters, tables, projected, init, projectionInit } = clustersOf(who, options);
    expectChoice(who, "clusterOrder", clusterOrder, ["ascending", "descending"]);
    const share = (what: "tables" | "projections", i: number, shape: readonly number[]): Parameter => {
      const shared = tied!.embedding[what];
      const cell = shared.length === 1 ? shared[0] : shared[i];
      if (!cell || show(cell.shape) !== show(shape))
        throw new ShapeError(
          `${who}: tied.embedding has ${what} of ${shared.map((one) => show(one.shape)).join(", ") || "none"}, but cluster ${i} wants ${show(shape)}. Make both with the same sizes, cutoffs and divValue.`,
        );
      return cell;
    };
    const flags = tied?.projections ?? [];
    if (flags.length > 0 && flags.length !== clusters.length)
      throw new TensorError(`${who}: tied.projections must say for each of ${clusters.length} clusters, got ${flags.length}.`);
    this.vocabSize = vocabSize;
    this.#clusters = clusters;
    this.#dim = dim;
    this.#descends = clusterOrder === "descending";
    this.weights = tables.map(({ start, end, width }, i) =>
      tied && tied.tables !== false ? share("tables", i, [end - start, width]) : parameter([end - start, width], init),
    );
    this.biases = tables.map(({ start, end }) => parameter([end - start], zerosInit));
    this.projections = projected
      ? clusters.map(({ width }, i) => (flags[i] ? share("projections", i, [dim, width]) : parameter([dim, width], projectionInit)))
      : [];
    const tails = clusters.length - 1;
    this.clusterWeight = tails > 0 ? parameter([tails, clusters[0]!.width], init) : undefined;
    this.clusterBias = tails > 0 ? parameter([tails], zerosInit) : undefined;
  }

  /** Log-probabilities of all words: what generation asks for. */
  forward(x: Tensor): Tensor {
    this.#check(x);
    const [first, ...tails] = this.#clusters.map((_, i) => linear(this.#cluster(x, i)));
    if (!this.clusterWeight) return logSoftmax({ x: first! });
    // For few rows: weights would be more to put together than logits.
    const clusters = linear({ x: this.#projected(x, 0), weight: this.clusterWeight, bias: this.clusterBias });
    const head = logSoftmax({ x: Tensor.concat([first!, clusters], -1) });
    const shortlist = head.slice(-1, 0, this.#clusters[0]!.end);
    const words = tails.map((logits, i) => {
      const column = this.#column(i + 1);
      return logSoftmax({ x: logits }).add(head.slice(-1, column, column + 1));
    });
    return Tensor.concat([shortlist, ...words], -1);
  }

  /**
   * -log p of each target, in the order of the targets, 0 where it is `ignoreIndex`: targets i32 [...] -> [...], f32. No logits are kept: rows are taken `chunk` at a time, and the backward pass computes theirs again. Each
   * tail is computed for all rows, as shapes cannot depend on targets, and counts for those whose target lies in it.
   */
  losses(x: Tensor, targets: Tensor, { ignoreIndex = none, chunk = 256 }: { ignoreIndex?: number; chunk?: number } = {}): Tensor {
    // No scope of its own: what is computed again in the backward pass reads these tensors then.
    this.#check(x);
    const counts = targets.ne(ignoreIndex);
    const starts = this.#clusters.map(({ start }) => start);
    // The head's target: the word itself, or the column of its cluster.
    const chosen = starts.reduce((at, start, i) => (i === 0 ? at : targets.ge(start).where(this.#column(i), at)), targets);
    let sum = linearCrossEntropy({ ...this.#head(x), targets: counts.where(chosen, none) }, { chunk });
    for (const [i, { start, end }] of this.#clusters.entries()) {
      if (i === 0) continue;
      const inside = counts.and(targets.ge(start)).and(targets.lt(end));
      const within = inside.where(targets.sub(start), none);
      sum = sum.add(linearCrossEntropy({ ...this.#cluster(x, i), targets: within }, { chunk }));
    }
    return sum;
  }

  #check(x: Tensor): void {
    if (x.shape.at(-1) !== this.#dim)
      throw new ShapeError(
        `AdaptiveLogSoftmax: x must be [..., ${this.#dim}], got ${show(x.shape)}. Pass hidden states of the model's dim.`,
      );
  }

  /** Which output of the head stands for cluster i. */
  #column(i: number): number {
    const { end } = this.#clusters[0]!;
    return end + (this.#descends ? this.#clusters.length - 1 - i : i - 1);
  }

  #projected(x: Tensor, i: number): Tensor {
    const projection = this.projections[i];
    return projection ? x.matmul(projection.value) : x;
  }

  /** What makes the logits of a cluster's words. */
  #cluster(x: Tensor, i: number): { readonly x: Tensor; readonly weight: Tensor; readonly bias: Tensor } {
    const { start, end } = this.#clusters[i]!;
    const part = (tables: readonly Parameter[]) => (tables.length === 1 ? tables[0]!.value.slice(0, start, end) : tables[i]!.value);
    return { x: this.#projected(x, i), weight: part(this.weights), bias: part(this.biases) };
  }

  /** What makes the logits of the first cluster's words and of the other clusters. */
  #head(x: Tensor): { readonly x: Tensor; readonly weight: Tensor; readonly bias: Tensor } {
    const first = this.#cluster(x, 0);
    if (!this.clusterWeight || !this.clusterBias) return first;
    return {
      x: first.x,
      weight: Tensor.concat([first.weight, this.clusterWeight.value], 0),
      bias: Tensor.concat([first.bias, this.clusterBias.value], 0),
    };
  }
}
