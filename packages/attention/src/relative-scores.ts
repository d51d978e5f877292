import { type Linear, type Module, splitHeads } from "@x/nn";
import { arange, ShapeError, show, type Tensor, TensorError } from "@x/tensor";
import { byKey } from "./relative-shift.ts";

/** Vectors [n, dim] of distances i32 [n]: SinusoidalPositions with its "halves" layout is the paper's. */
export interface DistanceVectors extends Module {
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

function lookedUp(distances: DistanceVectors | undefined, keys: number, clampLength: number, { device }: Tensor): Tensor {
  if (!distances)
    throw new TensorError("relativeScores: distances are missing, and so are vectors. Make the layer with { distances }, or pass vectors.");
  const back = arange(keys, { device })
    .neg()
    .add(keys - 1);
  return distances.forward(clampLength < keys - 1 ? back.minimum(clampLength) : back);
}
