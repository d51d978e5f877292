import { DTypeError, defineOp, one, out, ShapeError, show, TensorError } from "@x/tensor";

/** Rows of a table by index: table [vocabSize, dim], indices i32 [...], clamped to the table -> [..., dim]. The gradient adds rows in order. */
export const embedding = defineOp({
  name: "embedding",
  inputs: { table: one(), indices: one() },
  outputs: { y: out() },
  infer: ({ table, indices }) => {
    if (table.shape.length !== 2) throw new ShapeError(`embedding: table must be [vocabSize, dim], got ${show(table.shape)}.`);
    if (table.shape[0] === 0) throw new ShapeError(`embedding: table ${show(table.shape)} has no rows.`);
    if (indices.dtype !== "i32") throw new DTypeError(`embedding: indices must be i32, got ${indices.dtype}.`);
    return { y: { shape: [...indices.shape, table.shape[1]!], dtype: table.dtype } };
  },
  reference: ({ table, indices }) => ({ y: table.take(indices, 0) }),
  saves: ["indices"],
  grad: ({ saved: { indices }, specs, upstream }) => ({ table: upstream.y!.putAdd(indices, 0, specs.table.shape[0]!) }),
});

/** Refuses token ids outside the vocabulary where they enter: kernels clamp, so that they would go on unnoticed. */
export function checkTokens(tokens: ArrayLike<number>, vocabSize: number, who = "tokens"): void {
  for (let i = 0; i < tokens.length; i++) {
    const id = tokens[i]!;
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize)
      throw new TensorError(
        `${who}: token ${id} at position ${i} is outside the vocabulary of ${vocabSize}. Was the text encoded with this model's tokenizer?`,
      );
  }
}
