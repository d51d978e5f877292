import { type AttendOptions, SelfAttention } from "@x/attention";
import { joinHeads } from "@x/nn";
import { noGrad, Tensor } from "@x/tensor";

/**
 * Causal self-attention over a segment and what entered the layer in the segments before, which takes no gradient: Transformer-XL's recurrence (Dai et al. 2019, section 3.2) with whatever positions the layer has.
 */
export class SegmentAttention extends SelfAttention {
  /** x [batch, length, dim], memory [batch, before, dim]; positions and keyMask are of both together. -> [batch, length, dim] */
  override forward(x: Tensor, options: AttendOptions & { readonly memory?: Tensor | undefined } = {}): Tensor {
    const { memory, positions, keyMask } = options;
    if (!memory) return super.forward(x, options);
    const [before, length] = [memory.shape[1]!, x.shape[1]!];
    const { k, v } = this.keysAndValues(Tensor.concat([noGrad(() => memory.copy()), x], 1), "memory and x");
    const q = this.queries(x);
    const { rotation } = this;
    const own = positions?.slice(positions.shape.length - 1, before, before + length);
    const turned =
      rotation && positions && own ? { q: rotation.forward(q, own, before + length), k: rotation.forward(k, positions), v } : { q, k, v };
    return this.output.forward(joinHeads(this.attend(turned, keyMask, true)));
  }
}
