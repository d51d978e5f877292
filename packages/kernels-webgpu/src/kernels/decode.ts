import { decodeAttention } from "@x/ops";
import { f32, u32 } from "../device/launch.ts";
import { webgpuKernel } from "./kernel.ts";

/** What all launches share: which batch entry, head and query a row is, and how many keys it may see. What lies beyond is never read. */
const common = (masked: boolean) => `
fn batch_of(row: u32) -> u32 { return row / (p.heads * p.queries); }
fn keys_of(row: u32) -> u32 { return row / (p.heads * p.queries) * p.kv_heads + row / p.queries % p.heads / p.group; }
fn seen(row: u32) -> u32 {
  let last = lengths_at(batch_of(row)) - i32(p.queries) + 1 + i32(row % p.queries);
  return u32(clamp(last, 0, i32(p.capacity)));
}
fn visible(row: u32, j: u32) -> bool { return ${masked ? "mask_at(batch_of(row) * p.capacity + j) != 0u" : "true"}; }
`;
const head = `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let id = group_of(group) * 64u + lane;`;

/** A score an invocation. */
const scoreCode = (masked: boolean) => `${common(masked)}${head}
  let row = id / p.capacity;
  let j = id % p.capacity;
  if (row >= p.rows || j >= seen(row) || !visible(row, j)) { return; }
  let key = (keys_of(row) * p.capacity + j) * p.dim;
  var sum = 0.0;
  for (var d = 0u; d < p.dim; d++) { sum = fma(q_at(row * p.dim + d), k_at(key + d), sum); }
  scores_put(id, sum * p.scale);
}
`;

/** The largest score of a row, and the sum of what the exponential makes of all of them. */
const statsCode = (masked: boolean) => `${common(masked)}${head}
  if (id >= p.rows) { return; }
  let n = seen(id);
  var largest = -3.0e38;
  for (var j = 0u; j < n; j++) { if (visible(id, j)) { largest = max(largest, scores_at(id * p.capacity + j)); } }
  var sum = 0.0;
  for (var j = 0u; j < n; j++) { if (visible(id, j)) { sum += exp(scores_at(id * p.capacity + j) - largest); } }
  stats_put(2u * id, largest);
  stats_put(2u * id + 1u, sum);
}
`;

/** An element of the result an invocation; rows that see nothing are zeros. */
const sumCode = (masked: boolean) => `${common(masked)}${head}
  let row = id / p.value_dim;
  if (row >= p.rows) { return; }
  let largest = stats_at(2u * row);
  let total = stats_at(2u * row + 1u);
  let value = keys_of(row) * p.capacity;
  let n = seen(row);
  var sum = 0.0;
  for (var j = 0u; j < n; j++) {
    if (visible(row, j)) { sum = fma(exp(scores_at(row * p.capacity + j) - largest), v_at((value + j) * p.value_dim + id % p.value_dim), sum); }
  }
  o_put(id, select(0.0, sum / max(total, 1.0e-30), total > 0.0));
}
`;

/** Scores, their statistics by row, and the weighted sums: three launches, each with as many invocations as results. */
export const decodeAttentionKernel = webgpuKernel(decodeAttention, {
  plan(p, { specs: { q, k, v, keyMask }, attrs: { scale } }) {
    const [batch, heads, queries, dim] = q.shape as [number, number, number, number];
    const [kvHeads, capacity, valueDim] = [k.shape[1]!, k.shape[2]!, v.shape[3]!];
    const rows = batch * heads * queries;
    const masked = keyMask !== undefined;
    const params = {
      ...{ rows: u32(rows), heads: u32(heads), kv_heads: u32(kvHeads), group: u32(heads / kvHeads), queries: u32(queries) },
      ...{ capacity: u32(capacity), dim: u32(dim), value_dim: u32(valueDim), scale: f32(scale) },
    };
    const seen = { lengths: p.input("lengths"), ...(masked && { mask: p.input("keyMask") }) };
    const [scores, stats] = [p.scratch(rows * capacity), p.scratch(2 * rows)];
    const groups = (results: number) => Math.ceil(results / 64);
    const label = "decodeAttention";
    const given = { q: p.input("q"), k: p.input("k"), ...seen };
    p.run({
      label: `${label}: scores`,
      code: scoreCode(masked),
      params,
      groups: groups(rows * capacity),
      reads: given,
      writes: { scores },
    });
    p.run({
      label: `${label}: rows`,
      code: statsCode(masked),
      params,
      groups: groups(rows),
      reads: { scores, ...seen },
      writes: { stats },
    });
    const reads = { scores, stats, v: p.input("v"), ...seen };
    p.run({ label, code: sumCode(masked), params, groups: groups(rows * valueDim), reads, writes: { o: p.output("o") } });
  },
});
