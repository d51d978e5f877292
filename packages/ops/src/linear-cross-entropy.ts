import { checkpointed, Tensor, TensorError, type TensorLike } from "@x/tensor";
import { crossEntropy } from "./cross-entropy.ts";
import { expectShape, lastOf } from "./expect.ts";
import { linear } from "./linear.ts";

const who = "linearCrossEntropy";

/**
 * Cross-entropy of the logits x W^T + bias, which are never all there: rows are taken `chunk` at a time, and the backward pass computes a chunk's logits again. x [..., dim], weight
 * [vocabSize, dim], bias [vocabSize], targets i32 [...] -> losses [...], as crossEntropy gives them. Memory is chunk * vocabSize instead of positions * vocabSize, for one more product.
 */
export function linearCrossEntropy(
  {
    x,
    weight,
    bias,
    targets,
  }: { readonly x: TensorLike; readonly weight: TensorLike; readonly bias?: TensorLike | undefined; readonly targets: TensorLike },
  { ignoreIndex = -100, chunk = 256 }: { readonly ignoreIndex?: number; readonly chunk?: number } = {},
): Tensor {
  if (!Number.isInteger(chunk) || chunk < 1) throw new TensorError(`${who}: chunk must be a positive number of rows, got ${chunk}.`);
  const dim = lastOf(who, "x", x);
  expectShape(who, "targets", targets, x.shape.slice(0, -1), "to match the positions of x");
  const [all, ids] = [tensorOf(x).reshape([tensorOf(targets).size, dim]), tensorOf(targets).reshape([tensorOf(targets).size])];
  const starts = Array.from({ length: Math.max(1, Math.ceil(ids.size / chunk)) }, (_, i) => i * chunk);
  const losses = starts.map((start) => {
    const end = Math.min(start + chunk, ids.size);
    const [part, wanted] = [all.slice(0, start, end), ids.slice(0, start, end)];
    return checkpointed(() => crossEntropy({ logits: linear({ x: part, weight, bias }), targets: wanted }, { ignoreIndex }));
  });
  return Tensor.concat(losses, 0).reshape(targets.shape);
}

const tensorOf = (like: TensorLike): Tensor => (Tensor.isTensor(like) ? like : like.value);
