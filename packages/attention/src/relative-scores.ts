import type { Linear, Module } from "@x/nn";
import { arange, type Tensor } from "@x/tensor";
import { splitHeads } from "./heads.ts";
import { byKey } from "./relative-shift.ts";

/** Vectors [n, dim] of distances i32 [n]: SinusoidalPositions with its "halves" layout is the paper's. */
export interface DistanceVectors extends Module {
  forward(distances: Tensor): Tensor;
}

export interface RelativeScoresOptions {
  /** W_R, from vectors of distances to heads. */
  readonly distance: Linear;
  readonly distances: DistanceVectors;
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
  { distance, distances, keys, clampLength = Number.POSITIVE_INFINITY }: RelativeScoresOptions,
): Tensor {
  const [, heads, queries] = q.shape as [number, number, number];
  const back = arange(keys, { device: q.device })
    .neg()
    .add(keys - 1);
  const clamped = clampLength < keys - 1 ? back.minimum(clampLength) : back;
  const vectors = splitHeads(distance.forward(distances.forward(clamped).cast(q.dtype).unsqueeze(0)), heads);
  return byKey(
    q.matmul(vectors.transpose()).pad([
      [0, 0],
      [0, 0],
      [0, 0],
      [0, queries - 1],
    ]),
  );
}
