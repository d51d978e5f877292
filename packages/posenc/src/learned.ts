import { expectCounts, type Init, Module, normal, parameter } from "@x/nn";
import { embedding } from "@x/ops";
import { type Parameter, type Tensor, TensorError } from "@x/tensor";
import { checkLength } from "./length.ts";

export interface LearnedOptions {
  /** Positions there is a row for. */
  readonly maxLength: number;
  readonly dim: number;
  /** Rows before that of position 0, which some checkpoints have: 2 in OPT and BART, the padding token + 1 in RoBERTa. */
  readonly offset?: number;
  readonly init?: Init | undefined;
}

/** A trained row for each position: i32 [...] -> [..., dim], weight [offset + maxLength, dim]. Gehring et al. 2017, arXiv 1705.03122. */
export class LearnedPositions extends Module {
  readonly weight: Parameter;
  readonly maxLength: number;
  readonly offset: number;

  constructor({ maxLength, dim, offset = 0, init = normal(0.02) }: LearnedOptions) {
    super();
    expectCounts("LearnedPositions", { maxLength, dim });
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new TensorError(`LearnedPositions: offset must be 0 or a positive integer, got ${offset}.`);
    this.maxLength = maxLength;
    this.offset = offset;
    this.weight = parameter([offset + maxLength, dim], init);
  }

  /** positions i32 [...], each below maxLength; more of them in a row than that are refused. */
  forward(positions: Tensor): Tensor {
    checkLength("LearnedPositions", positions.shape.at(-1) ?? 1, this.maxLength);
    return embedding({ table: this.weight, indices: this.offset === 0 ? positions : positions.add(this.offset) });
  }
}
