import { type Activation, activations, swiglu } from "@x/ops";
import type { Tensor } from "@x/tensor";
import { Dropout } from "./dropout.ts";
import { expectChoice, expectCounts } from "./expect.ts";
import type { Init } from "./init.ts";
import { Linear } from "./linear.ts";
import { Module } from "./module.ts";

export interface FeedForwardOptions {
  readonly dim: number;
  readonly hiddenDim: number;
  readonly bias?: boolean;
  /** Probability with which elements of the result are zeroed while training. */
  readonly dropout?: number;
  readonly init?: Init | undefined;
  /** Of the weight that ends in the residual stream; `init` if absent. */
  readonly outputInit?: Init | undefined;
  readonly biasInit?: Init | undefined;
}

function check(who: string, counts: Readonly<Record<string, number>>, activation: string): void {
  expectCounts(who, counts);
  expectChoice(who, "activation", activation, Object.keys(activations));
}

/** The last product, what is dropped of it, and the residual [..., dim] it is added to: one launch where nothing is dropped. */
function ending(x: Tensor, output: Linear, dropout: Dropout, residual: Tensor | undefined): Tensor {
  if (!dropout.isActive) return output.forward(x, { residual });
  const y = dropout.forward(output.forward(x));
  return residual ? residual.add(y) : y;
}

/** The Transformer's feed-forward: output(activation(input(x))). [..., dim] -> [..., dim] */
export class MLP extends Module {
  readonly input: Linear;
  readonly output: Linear;
  readonly dropout: Dropout;
  readonly activation: Activation;

  constructor({
    dim,
    hiddenDim,
    bias = true,
    dropout = 0,
    activation = "gelu",
    init,
    outputInit = init,
    biasInit,
  }: FeedForwardOptions & { readonly activation?: Activation }) {
    super();
    check("MLP", { dim, hiddenDim }, activation);
    this.activation = activation;
    this.input = new Linear({ inputDim: dim, outputDim: hiddenDim, bias, init, biasInit });
    this.output = new Linear({ inputDim: hiddenDim, outputDim: dim, bias, init: outputInit, biasInit });
    this.dropout = new Dropout({ p: dropout });
  }

  /** With a residual [..., dim], the sum of it and the result. */
  forward(x: Tensor, { residual }: { residual?: Tensor } = {}): Tensor {
    return ending(this.input.forward(x, { activation: this.activation }), this.output, this.dropout, residual);
  }
}

/** activation(gate) * up; swiglu keeps less for its gradient than the product of its parts would. */
const gated = (activation: Activation, gate: Tensor, up: Tensor): Tensor =>
  activation === "silu" ? swiglu({ gate, up }) : activations[activation](gate).mul(up);

/** A gated feed-forward: down(activation(gate(x)) * up(x)). [..., dim] -> [..., dim]. Shazeer 2020, arXiv 2002.05202. */
export class GatedMLP extends Module {
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
  readonly dropout: Dropout;
  readonly activation: Activation;

  constructor({
    dim,
    hiddenDim,
    bias = false,
    dropout = 0,
    activation = "silu",
    init,
    outputInit = init,
    biasInit,
  }: FeedForwardOptions & { readonly activation?: Activation }) {
    super();
    check(new.target.name, { dim, hiddenDim }, activation);
    this.activation = activation;
    const inner = { inputDim: dim, outputDim: hiddenDim, bias, init, biasInit };
    this.gate = new Linear(inner);
    this.up = new Linear(inner);
    this.down = new Linear({ inputDim: hiddenDim, outputDim: dim, bias, init: outputInit, biasInit });
    this.dropout = new Dropout({ p: dropout });
  }

  /** With a residual [..., dim], the sum of it and the result. */
  forward(x: Tensor, { residual }: { residual?: Tensor } = {}): Tensor {
    return ending(gated(this.activation, this.gate.forward(x), this.up.forward(x)), this.down, this.dropout, residual);
  }
}

/** The gated feed-forward with SiLU, as Llama has it. [..., dim] -> [..., dim] */
export class SwiGLU extends GatedMLP {
  constructor(options: FeedForwardOptions) {
    super({ ...options, activation: "silu" });
  }
}
