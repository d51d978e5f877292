import { type Init, Module, normal, parameter } from "@x/nn";
import { embedding } from "@x/ops";
import { type Parameter, ShapeError, type Tensor } from "@x/tensor";

/** A trained row for each position: i32 [...] -> [..., dim], weight [maxLength + offset, dim]. `offset` is what some checkpoints add (OPT and BART 2). */
export class LearnedPositions extends Module {
  readonly weight: Parameter;
  readonly maxLength: number;
  readonly offset: number;

  constructor({ maxLength, dim, offset = 0, init = normal(0.02) }: { maxLength: number; dim: number; offset?: number; init?: Init }) {
    super();
    this.maxLength = maxLength;
    this.offset = offset;
    this.weight = parameter([maxLength + offset, dim], init);
  }

  forward(positions: Tensor): Tensor {
    const length = positions.shape.at(-1) ?? 0;
    if (length > this.maxLength) throw new ShapeError(`LearnedPositions: ${length} positions, but the table has ${this.maxLength}. Shorten the input, or use a model with a longer context.`);
    return embedding({ table: this.weight, indices: this.offset === 0 ? positions : positions.add(this.offset) });
  }
}
