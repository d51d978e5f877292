import type { SelfAttention } from "@x/attention";
import type { Linear, Module } from "@x/nn";
import { softmax } from "@x/ops";
import { arange, type Tensor } from "@x/tensor";

/**
 * Where one head looks: softmax(scale q k^T) over x [1, length, dim] -> [length, length], row i for position i. Fused kernels never hold these weights,
 * so they are made anew from the layer's parts.
 */
export function attentionMap(attention: SelfAttention, x: Tensor, head: number): Tensor {
  const { numHeads, numKvHeads, headDim, scale, causal } = attention;
  const length = x.shape[1]!;
  const positions = arange(length, { device: x.device });
  const of = (projection: Linear, heads: number, norm: (Module & { forward(x: Tensor): Tensor }) | undefined, index: number) => {
    const all = projection.forward(x).reshape([1, length, heads, headDim]).permute([0, 2, 1, 3]);
    const one = all.slice(1, index, index + 1);
    const normed = norm ? norm.forward(one) : one;
    const turned = attention.rotation ? attention.rotation.forward(normed, positions, length) : normed;
    return turned.reshape([length, headDim]);
  };
  const q = of(attention.query, numHeads, attention.queryNorm, head);
  const k = of(attention.key, numKvHeads, attention.keyNorm, Math.floor((head * numKvHeads) / numHeads));
  const scores = q.matmul(k.transpose()).mul(scale);
  const seen = causal ? positions.unsqueeze(1).ge(positions.unsqueeze(0)).where(scores, -1e9) : scores;
  return softmax({ x: seen });
}
