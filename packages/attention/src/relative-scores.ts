import { type Linear, type Module, splitHeads } from "@x/nn";
import { arange, ShapeError, show, type Tensor, TensorError } from "@x/tensor";
import { byKey } from "./relative-shift.ts";

/** Vectors [n, dim] of distances i32 [n]: SinusoidalPositions with its "halves" layout is the paper's. */
export interface DistanceVectors extends Module {
  /** How many distances it holds, from 0 on, where that is limited. */
  readonly maxLength?: number;
  forward(distances: Tensor): Tensor;
}

export interface RelativeScoresOptions {
  /** W_R, from vectors of distances to heads. */
  readonly distance: Linear;
  /** Looks vectors up, unless they are given. */
  readonly distances?: DistanceVectors | undefined;
  /** [keys, dim]: of the distances keys - 1, ..., 0, clamped already, where several layers share them. */
  readonly vectors?: Tensor | undefined;
  readonly keys: number;
  /** Further distances count as this one. */
  readonly clampLength?: number | undefined;
}

/**
 * q_i . W_R R_d with d the distance back from query to key, the last query standing at the last key: q [batch, heads, queries, headDim] -> [batch, heads, queries, keys], zeros at keys ahead. Dai et al. 2019, arXiv 1901.02860,
 * section 3.3 and appendix B.
 */
export function relativeScores(
  q: Tensor,
  { distance, distances, vectors, keys, clampLength = Number.POSITIVE_INFINITY }: RelativeScoresOptions,
): Tensor {
  const [, heads, queries] = q.shape as [number, number, number];
  const dim = distance.weight.shape[1]!;
  if (vectors && show(vectors.shape) !== show([keys, dim]))
    throw new ShapeError(`relativeScores: vectors must be [${keys}, ${dim}], one for each distance, got ${show(vectors.shape)}.`);
  const projected = distance.forward((vectors ?? lookedUp(distances, keys, clampLength, q)).cast(q.dtype).unsqueeze(0));
  return byKey(
    q.matmul(splitHeads(projected, heads).transpose()).pad([
      [0, 0],
      [0, 0],
      [0, 0],
      [0, queries - 1],
    ]),
  );
}

/**
 * The same for queries and keys that stand anywhere: `back` i32 [batch, queries, keys], distances back from query to key, of which those below 0 count as 0 and those beyond the vectors as the last -> [batch, heads, queries, keys].
 * Queries go through W_R in the place of vectors, which is less where they are few.
 */
export function scoresByDistance(
  q: Tensor,
  back: Tensor,
  { distance, distances, clampLength = Number.POSITIVE_INFINITY }: Omit<RelativeScoresOptions, "vectors" | "keys">,
): Tensor {
  const [batch, heads, queries, headDim] = q.shape as [number, number, number, number];
  const keys = back.shape[2]!;
  const reach = Math.min(keys, clampLength + 1, distances?.maxLength ?? keys);
  const vectors = lookedUp(distances, reach, clampLength, q).cast(q.dtype);
  const turned = q.matmul(distance.weight.value.cast(q.dtype).reshape([heads, headDim, -1]));
  // The farthest vector is the first.
  const column = back
    .maximum(0)
    .minimum(reach - 1)
    .neg()
    .add(reach - 1);
  return turned.matmul(vectors.transpose()).gather(column.unsqueeze(1).expand([batch, heads, queries, keys]), 3);
}

function lookedUp(distances: DistanceVectors | undefined, keys: number, clampLength: number, { device }: Tensor): Tensor {
  if (!distances)
    throw new TensorError("relativeScores: distances are missing, and so are vectors. Make the layer with { distances }, or pass vectors.");
  const back = arange(keys, { device })
    .neg()
    .add(keys - 1);
  return distances.forward(clampLength < keys - 1 ? back.minimum(clampLength) : back);
}
