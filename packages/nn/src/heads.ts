import { arange, type Tensor } from "@x/tensor";

/** [batch, length, heads * headDim] seen as [batch, heads, length, headDim]: a view. */
export const splitHeads = (x: Tensor, heads: number): Tensor => {
  const [batch, length, width] = x.shape as [number, number, number];
  return x.reshape([batch, length, heads, width / heads]).permute([0, 2, 1, 3]);
};
/** The way back, which copies. */
export const joinHeads = (x: Tensor): Tensor => {
  const [batch, heads, length, dim] = x.shape as [number, number, number, number];
  return x.permute([0, 2, 1, 3]).reshape([batch, length, heads * dim]);
};
/** Unit vectors in the place of values [batch, heads, keys, any]: what attention makes of them, [batch, numHeads, queries, keys], are its weights. */
export const unitValues = (values: Tensor): Tensor => {
  const [batch, heads, keys] = values.shape as [number, number, number, number];
  const at = arange(keys, { device: values.device });
  return at
    .eq(at.reshape([keys, 1]))
    .cast(values.dtype)
    .expand([batch, heads, keys, keys]);
};
/** [batch, numKvHeads, length, dim] with each head as often as query heads share it: [batch, numHeads, length, dim]. For attention that is composed; the fused kernels share heads in place. */
export const repeatHeads = (x: Tensor, numHeads: number): Tensor => {
  const [batch, heads, length, dim] = x.shape as [number, number, number, number];
  if (heads === numHeads) return x;
  return x
    .unsqueeze(2)
    .expand([batch, heads, numHeads / heads, length, dim])
    .reshape([batch, numHeads, length, dim]);
};
