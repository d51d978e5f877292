import { type Device, type Shape, ShapeError, Tensor, tensor } from "@x/tensor";

/** Rows of a state of `batch` rows by their numbers, which are checked, or as the tensor they are: i32 [any]. */
export function rowIndices(who: string, rows: Tensor | ArrayLike<number>, { batch, device }: { batch: number; device: Device }): Tensor {
  if (Tensor.isTensor(rows)) return rows;
  const wrong = Array.from(rows).find((row) => !Number.isInteger(row) || row < 0 || row >= batch);
  if (wrong !== undefined) throw new ShapeError(`${who}: rows must be from 0 to ${batch - 1}, got ${wrong}.`);
  return tensor(Int32Array.from(rows), { device });
}

/** The same in the place of those there are: as many rows as the state has. */
export function sameRowIndices(who: string, rows: Tensor | ArrayLike<number>, state: { batch: number; device: Device }): Tensor {
  const shape: Shape = Tensor.isTensor(rows) ? rows.shape : [rows.length];
  if (shape.length !== 1 || shape[0] !== state.batch)
    throw new ShapeError(
      `${who}.gather: rows must be i32 [${state.batch}], got [${shape.join(", ")}]. Take a state of another batch with ${who}.select.`,
    );
  return rowIndices(`${who}.gather`, rows, state);
}

/** Left-padded positions of each row of a state, as its `reset` takes them; refused where they do not fit. `who` is the state. */
export function paddingCounts(
  who: string,
  padding: ArrayLike<number>,
  { batch, capacity }: { readonly batch: number; readonly capacity: number },
): number[] {
  const counts = Array.from(padding);
  if (counts.length !== batch || !counts.every((count) => Number.isInteger(count) && count >= 0 && count <= capacity))
    throw new ShapeError(
      `${who}.reset: padding must be ${batch} counts from 0 to the capacity ${capacity}, one a row, got [${counts.join(", ")}].`,
    );
  return counts;
}
