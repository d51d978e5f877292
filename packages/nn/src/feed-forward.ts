import { type Activation, swiglu } from "@x/ops";
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

const inits = ({ init, biasInit }: { init?: Init | undefined; biasInit?: Init | undefined }) => ({ ...(init && { init }), ...(biasInit && { biasInit }) });

/** The Transformer's feed-forward: output(activation(input(x))). [..., dim] -> [..., dim] */
export class MLP extends Module {
  readonly input: Linear;
  readonly output: Linear;
  readonly dropout: Dropout;
  readonly activation: Activation;

  constructor({ dim, hiddenDim, bias = true, dropout = 0, activation = "gelu", init, outputInit = init, biasInit }: FeedForwardOptions & { readonly activation?: Activation }) {
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

/** The gated feed-forward: down(silu(gate(x)) * up(x)). [..., dim] -> [..., dim]. Shazeer 2020, arXiv 2002.05202. */
export class SwiGLU extends Module {
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
  readonly dropout: Dropout;

  constructor({ dim, hiddenDim, bias = false, dropout = 0, init, outputInit = init, biasInit }: FeedForwardOptions) {
    super();
    const inner = { inputDim: dim, outputDim: hiddenDim, bias, ...inits({ init, biasInit }) };
    this.gate = new Linear(inner);
    this.up = new Linear(inner);
    this.down = new Linear({ inputDim: hiddenDim, outputDim: dim, bias, ...inits({ init: outputInit, biasInit }) });
    this.dropout = new Dropout({ p: dropout });
  }

  forward(x: Tensor): Tensor {
    return this.dropout.forward(this.down.forward(swiglu({ gate: this.gate.forward(x), up: this.up.forward(x) })));
  }
}
