import { type Activation, activations } from "@x/ops";
import type { Tensor } from "@x/tensor";
import { Dropout } from "./dropout.ts";
import type { Init } from "./init.ts";
import { Linear } from "./linear.ts";
import { Module } from "./module.ts";

export interface FeedForwardOptions {
  readonly dim: number;
  readonly hiddenDim: number;
  readonly bias?: boolean;
  readonly dropout?: number;
  readonly init?: Init;
  readonly outputInit?: Init;
  readonly biasInit?: Init;
}

const inits = ({ init, biasInit }: { init?: Init | undefined; biasInit?: Init | undefined }) => ({
  ...(init && { init }),
  ...(biasInit && { biasInit }),
});

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
    this.activation = activation;
    this.input = new Linear({ inputDim: dim, outputDim: hiddenDim, bias, ...inits({ init, biasInit }) });
    this.output = new Linear({ inputDim: hiddenDim, outputDim: dim, bias, ...inits({ init: outputInit, biasInit }) });
    this.dropout = new Dropout({ p: dropout });
  }

  forward(x: Tensor): Tensor {
    return this.dropout.forward(this.output.forward(this.input.forward(x, { activation: this.activation })));
  }
}

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
    this.activation = activation;
    const inner = { inputDim: dim, outputDim: hiddenDim, bias, ...inits({ init, biasInit }) };
    this.gate = new Linear(inner);
    this.up = new Linear(inner);
    this.down = new Linear({ inputDim: hiddenDim, outputDim: dim, bias, ...inits({ init: outputInit, biasInit }) });
    this.dropout = new Dropout({ p: dropout });
  }

  forward(x: Tensor): Tensor {
    const gate = activations[this.activation](this.gate.forward(x));
    return this.dropout.forward(this.down.forward(gate.mul(this.up.forward(x))));
  }
}

/** The gated feed-forward with SiLU, as Llama has it. [..., dim] -> [..., dim] */
export class SwiGLU extends GatedMLP {
  constructor(options: FeedForwardOptions) {
    super({ ...options, activation: "silu" });
  }
}
