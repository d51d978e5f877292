import { type SegmentOptions, TransformerXLAttention } from "@x/attention";
import { Dropout, Linear, Module, normal, zerosInit } from "@x/nn";
import { LayerNorm } from "@x/norm";
import { currentGenerator, type Parameter, type Tensor } from "@x/tensor";
import type { FullTransformerXLConfig } from "./config.ts";

/** A norm whose weights begin around 1, as published. */
function normOf({ dim, eps, initDeviation }: FullTransformerXLConfig): LayerNorm {
  const norm = new LayerNorm({ dim, eps });
  norm.weight.write(normal(initDeviation, 1)([dim], currentGenerator("TransformerXL")));
  return norm;
}

/** Two layers with a ReLU between; hidden units are dropped too. [..., dim] -> [..., dim] */
class FeedForward extends Module {
  readonly input: Linear;
  readonly output: Linear;
  readonly dropout: Dropout;

  constructor({ dim, hiddenDim, dropout, initDeviation }: FullTransformerXLConfig) {
    super();
    const inits = { init: normal(initDeviation), biasInit: zerosInit };
    this.input = new Linear({ inputDim: dim, outputDim: hiddenDim, ...inits });
    this.output = new Linear({ inputDim: hiddenDim, outputDim: dim, ...inits });
    this.dropout = new Dropout({ p: dropout });
  }

  forward(x: Tensor): Tensor {
    const hidden = this.dropout.forward(this.input.forward(x, { activation: "relu" }));
    return this.dropout.forward(this.output.forward(hidden));
  }
}

/** Attention over memory and input, then a feed-forward; the norm of each stands behind the sum, or before the branch, where it norms the memory as well. */
export class Block extends Module {
  readonly norm1: LayerNorm;
  readonly attention: TransformerXLAttention;
  readonly dropout: Dropout;
  readonly norm2: LayerNorm;
  readonly mlp: FeedForward;
  readonly preNorm: boolean;

  constructor(config: FullTransformerXLConfig, biases: { readonly u: Parameter; readonly v: Parameter } | undefined) {
    super();
    const { dim, numHeads, headDim, memoryLength, sameLength, attentionDropout, dropout, preNorm, initDeviation } = config;
    this.preNorm = preNorm;
    this.norm1 = normOf(config);
    this.attention = new TransformerXLAttention({
      dim,
      numHeads,
      headDim,
      biases,
      sameLength: sameLength ? memoryLength : undefined,
      norm: preNorm ? this.norm1 : undefined,
      dropout: attentionDropout,
      init: normal(initDeviation),
    });
    this.dropout = new Dropout({ p: dropout });
    this.norm2 = normOf(config);
    this.mlp = new FeedForward(config);
  }

  forward(x: Tensor, inputs: SegmentOptions): Tensor {
    const branch = this.dropout.forward(this.attention.forward(x, inputs));
    if (this.preNorm) {
      const { y, sum } = this.norm2.addNorm(branch, x);
      return sum.add(this.mlp.forward(y));
    }
    const { y } = this.norm1.addNorm(branch, x);
    return this.norm2.addNorm(this.mlp.forward(y), y).y;
  }
}
