import { embedding, linear } from "@x/ops";
import type { Parameter, Tensor } from "@x/tensor";
import { expectCounts } from "./expect.ts";
import { type Init, normal, parameter } from "./init.ts";
import { Module } from "./module.ts";

/** A table of rows by index. i32 [...] -> [..., dim], weight [vocabSize, dim]. */
export class Embedding extends Module {
  readonly weight: Parameter;

  constructor({ vocabSize, dim, init = normal(1) }: { vocabSize: number; dim: number; init?: Init }) {
    super();
    expectCounts("Embedding", { vocabSize, dim });
    this.weight = parameter([vocabSize, dim], init);
  }

  forward(indices: Tensor): Tensor {
    return embedding({ table: this.weight, indices });
  }

  /** The table used as an output layer: [..., dim] -> logits [..., vocabSize]. */
  attend(x: Tensor): Tensor {
    return linear({ x, weight: this.weight });
  }
}
