/**
 * For each row its log-sum-exp and delta = rowsum(dO * o) - dLse, side by side: all that the gradients need of the forward pass beside the inputs. A row that saw nothing has a
 * log-sum-exp so high that its weights vanish, and a delta of 0.
 */
export const statsSource = (withLse: boolean): string => `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group_of(group) * 64u + lane;
  if (row >= p.rows) { return; }
  let i = row % p.queries;
  let head = row / p.queries % p.heads;
  let batch = row / p.queries / p.heads;
  let o_at = o_row(batch, head, i);
  let g_at = g_row(batch, head, i);
  var sum = 0.0;
  for (var c = 0u; c < p.value_vectors; c++) { sum += dot(o_vec(o_at, c), g_vec(g_at, c)); }
  ${withLse ? "sum -= dlse_at(row);" : ""}
  let lse = lse_at(row);
  let empty = (bitcast<u32>(lse) & 0x7fffffffu) >= 0x7e967699u;
  stats_put(2u * row, select(lse, 1e30, empty));
  stats_put(2u * row + 1u, select(sum, 0.0, empty));
}
`;
