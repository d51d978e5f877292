import { constant, expectCounts, type Init, Module, parameter } from "@x/nn";
import type { Parameter, Tensor } from "@x/tensor";

/** CaiT's first value of LayerScale for a stack of so many layers: the deeper, the closer to the identity it begins. */
export function layerScaleInit(layers: number): number {
  expectCounts("layerScaleInit", { layers });
  return layers <= 18 ? 0.1 : layers <= 24 ? 1e-5 : 1e-6;
}

/** lambda * x with a trained factor for each channel, on what a branch gives. [..., dim] -> [..., dim]. Touvron et al. 2021, arXiv 2103.17239. */
export class LayerScale extends Module {
  readonly lambda: Parameter;

  constructor({ dim, init = constant(0.1) }: { readonly dim: number; readonly init?: Init }) {
    super();
    expectCounts("LayerScale", { dim });
    this.lambda = parameter([dim], init);
  }

  forward(x: Tensor): Tensor {
    return x.mul(this.lambda.value.cast(x.dtype));
  }
}
