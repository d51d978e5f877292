import { constant, expectCounts, Module, normal, parameter } from "@x/nn";
import { type Parameter, ShapeError, show, type Tensor } from "@x/tensor";
import { l2Normalize } from "./l2-normalize.ts";

export interface CosineHeadOptions {
  readonly dim: number;
  readonly numClasses: number;
  /** What cosines are multiplied with before a softmax; learned from there. */
  readonly scale?: number;
}

/**
 * Classes by the angle to their vector: scale * cos(x, weight_c). [..., dim] -> [..., numClasses], with weight [numClasses, dim] and scale []. Wang et al. 2017 (NormFace),
 * arXiv 1704.06369.
 */
export class CosineHead extends Module {
  readonly weight: Parameter;
  readonly scale: Parameter;

  constructor({ dim, numClasses, scale = 16 }: CosineHeadOptions) {
    super();
    expectCounts("CosineHead", { dim, numClasses });
    this.weight = parameter([numClasses, dim], normal(0, 1));
    this.scale = parameter([], constant(scale));
  }

  forward(x: Tensor): Tensor {
    const [, dim] = this.weight.shape;
    if (x.shape.at(-1) !== dim) throw new ShapeError(`CosineHead: x must be [..., ${dim}], got ${show(x.shape)}.`);
    const classes = l2Normalize({ x: this.weight }).transpose();
    return l2Normalize({ x }).matmul(classes).mul(this.scale);
  }
}
