import { expectCounts, type Init, isTraining, joinHeads, Linear, Module, normal, parameter, splitHeads } from "@x/nn";
import { dropout, softmax } from "@x/ops";
import { arange, type Parameter, ShapeError, show, type Tensor, TensorError } from "@x/tensor";
import { byDistance, byKey } from "./relative-shift.ts";

export interface ShawOptions {
  readonly dim: number;
  readonly numHeads: number;
  /** Distances with an embedding of their own, either way; further ones take the last. */
  readonly maxDistance: number;
  readonly causal?: boolean;
  /** Whether values have embeddings by distance too. BERT's "relative_key" has none. */
  readonly relativeValues?: boolean;
  readonly bias?: boolean;
  /** Probability that a weight is zeroed while training. */
  readonly dropout?: number;
  readonly init?: Init;
}

/**
 * Self-attention with embeddings by distance in keys and values: scores q_i . (k_j + a_c) / sqrt(headDim), results sum of weights times (v_j + b_c), c the distance j - i clipped to maxDistance. Both tables
 * [2 maxDistance + 1, headDim], shared by the heads. [batch, length, dim] -> [batch, length, dim]. Composed of products and a softmax: memory grows with length^2. Shaw et al. 2018, arXiv
 * 1803.02155.
 */
export class ShawAttention extends Module {
  readonly numHeads: number;
  readonly maxDistance: number;
  readonly causal: boolean;
  readonly dropout: number;
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
  readonly keyDistances: Parameter;
  readonly valueDistances: Parameter | undefined;

  constructor(options: ShawOptions) {
    super();
    const { dim, numHeads, maxDistance, causal = false, relativeValues = true, bias = true, dropout: p = 0, init } = options;
    expectCounts("ShawAttention", { dim, numHeads, maxDistance });
    if (dim % numHeads !== 0) throw new ShapeError(`ShawAttention: dim ${dim} must be a multiple of numHeads ${numHeads}.`);
    if (!(p >= 0 && p <= 1)) throw new TensorError(`ShawAttention: dropout must be a probability from 0 to 1, got ${p}.`);
    this.numHeads = numHeads;
    this.maxDistance = maxDistance;
    this.causal = causal;
    this.dropout = p;
    const projection = () => new Linear({ inputDim: dim, outputDim: dim, bias, ...(init && { init }) });
    this.query = projection();
    this.key = projection();
    this.value = projection();
    this.output = projection();
    const table = () => parameter([2 * maxDistance + 1, dim / numHeads], init ?? normal(0.02));
    this.keyDistances = table();
    this.valueDistances = relativeValues ? table() : undefined;
  }

  /** keyMask bool [batch, length]: true where a key may be seen. A query that sees none attends to nothing: zeros before the last projection. */
  forward(x: Tensor, { keyMask }: { readonly keyMask?: Tensor | undefined } = {}): Tensor {
    const [batch, length, dim] = x.shape;
    if (x.shape.length !== 3 || dim !== this.query.weight.shape[1])
      throw new ShapeError(`ShawAttention: x must be [batch, length, ${this.query.weight.shape[1]}], got ${show(x.shape)}.`);
    const [q, k, v] = [this.query, this.key, this.value].map((layer) => splitHeads(layer.forward(x), this.numHeads)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const rows = arange(2 * length! - 1, { device: x.device })
      .sub(length! - 1)
      .maximum(-this.maxDistance)
      .minimum(this.maxDistance)
      .add(this.maxDistance);
    const table = (weight: Parameter) => weight.value.cast(x.dtype).take(rows, 0);
    const relative = byKey(q.matmul(table(this.keyDistances).transpose()));
    const scores = q
      .matmul(k.transpose())
      .add(relative)
      .mul(q.shape[3]! ** -0.5);
    const seen = this.#seen(x, keyMask, batch!, length!);
    // Hidden scores are finite, so that a row of nothing else has weights, which are then taken out.
    const weights = seen ? seen.where(softmax({ x: seen.where(scores, -1e30) }), 0) : softmax({ x: scores });
    const thin = this.dropout > 0 && isTraining() ? dropout(weights, this.dropout) : weights;
    const values = thin.matmul(v);
    const all = this.valueDistances ? values.add(byDistance(thin).matmul(table(this.valueDistances))) : values;
    return this.output.forward(joinHeads(all));
  }

  /** bool [batch, numHeads, length, length] of what may be seen; undefined for everything. */
  #seen({ device }: Tensor, keyMask: Tensor | undefined, batch: number, length: number): Tensor | undefined {
    const shape = [batch, this.numHeads, length, length];
    const at = arange(length, { device });
    const past = this.causal ? at.le(at.reshape([length, 1])).expand(shape) : undefined;
    const present = keyMask?.reshape([batch, 1, 1, length]).expand(shape);
    return past && present ? past.and(present) : (past ?? present);
  }
}
