import type { Tensor } from "@x/tensor";

/**
 * Numbers by query and distance [..., queries, queries + keys - 1], where column c is the distance c - queries + 1 of a key from the query that stands beside the first key, as numbers by query and
 * key [..., queries, keys]. Moves memory only. Dai et al. 2019, arXiv 1901.02860, appendix B.
 */
export function byKey(x: Tensor): Tensor {
  const [queries, distances] = x.shape.slice(-2) as [number, number];
  const keys = distances - queries + 1;
  const lead = x.shape.slice(0, -2);
  if (queries === 1) return x;
  // Rows that are one shorter begin one further left each.
  const flat = x.reshape([...lead, queries * distances]);
  const rows = flat.slice(-1, queries - 1, queries - 1 + queries * (distances - 1)).reshape([...lead, queries, distances - 1]);
  return rows.slice(-1, 0, keys);
}

/** The other way: numbers by query and key as numbers by query and distance, zero where no key is. */
export function byDistance(x: Tensor): Tensor {
  const [queries, keys] = x.shape.slice(-2) as [number, number];
  const distances = queries + keys - 1;
  const lead = x.shape.slice(0, -2);
  if (queries === 1) return x;
  const none = x.shape.map(() => [0, 0] as const);
  const rows = x.pad([...none.slice(1), [0, distances - 1 - keys]]).reshape([...lead, queries * (distances - 1)]);
  return rows.pad([...none.slice(2), [queries - 1, 1]]).reshape([...lead, queries, distances]);
}
