import { blockSize } from "./blocking.ts";
import { gradientOfScores, scoreSource, type Traits } from "./scores.ts";
import { fitsSource, runsSource, sound } from "./walk.ts";

/**
 * Sums of the gradient by scores over the batch and each distance, by diagonals of blocks: a workgroup owns one of a head. In step n lane t takes query n and key (t + n) % 64 of a block,
 * which stand t apart, or t - 64: two sums an invocation hold all 127 distances, and nothing is shared.
 */
export function diagonalSource(traits: Traits): string {
  const blocks = `for (var block = run_begin; block < run_end; block++) {
      let key = u32(i32(block) + diagonal) * ${blockSize}u;
      for (var n = 0u; n < ${blockSize}u; n += 4u) {
        let step = n + vec4<u32>(0u, 1u, 2u, 3u);
        let i = block * ${blockSize}u + step;
        let j = key + (lane + step) % ${blockSize}u;
        var s = vec4<f32>();
        var y = vec4<f32>();
        var lse = vec4<f32>(1e30);
        var delta = vec4<f32>();
        for (var r = 0u; r < 4u; r++) {
          if (i[r] >= p.queries || j[r] >= p.keys) { continue; }
          let q_at = q_row(batch, head, i[r]);
          let k_at = k_row(batch, kv, j[r]);
          for (var c = 0u; c < p.key_vectors; c++) { s[r] += dot(q_vec(q_at, c), k_vec(k_at, c)); }
          let g_at = g_row(batch, head, i[r]);
          let v_at = v_row(batch, kv, j[r]);
          for (var c = 0u; c < p.value_vectors; c++) { y[r] += dot(g_vec(g_at, c), v_vec(v_at, c)); }
          let at = 2u * (row + i[r]);
          lse[r] = stats_at(at);
          delta[r] = stats_at(at + 1u);
        }
        ${gradientOfScores(traits)}
        let ahead = lane + step < vec4<u32>(${blockSize}u);
        sums += vec2<f32>(dot(select(vec4<f32>(), d, ahead), vec4<f32>(1.0)), dot(select(d, vec4<f32>(), ahead), vec4<f32>(1.0)));
      }
    }`;
  const seen = traits.causal ? `select(dense_end, run_begin, diagonal * ${blockSize} - ${blockSize - 1} > offset)` : "dense_end";
  const dense = `let run_begin = u32(max(-diagonal, 0));
    let dense_end = u32(min(rows, columns - diagonal));
    let run_end = ${seen};
    ${blocks}`;
  return `
${scoreSource(traits)}
@compute @workgroup_size(${blockSize})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let place = group_of(group);
  let line = place % p.diagonals;
  let head = place / p.diagonals;
  if (head >= p.heads) { return; }
  let rows = i32((p.queries + ${blockSize - 1}u) / ${blockSize}u);
  let columns = i32((p.keys + ${blockSize - 1}u) / ${blockSize}u);
  let diagonal = i32(line) - rows + 1;
  let kv = head / p.group;
  let offset = i32(p.keys) - i32(p.queries);${fitsSource(traits)}
  var sums = vec2<f32>();
  for (var batch = 0u; batch < p.batch; batch++) {
    let row = (batch * p.heads + head) * p.queries;
    ${traits.map ? runsSource("diagonal", "p.diagonals", "line", blocks) : dense}
  }
  let factor = ${sound(traits, "1.0")};
  partial_put(${2 * blockSize}u * place + lane, sums.x * factor);
  partial_put(${2 * blockSize}u * place + ${blockSize}u + lane, sums.y * factor);
}
`;
}

/** The table's entries: each distance lies on two neighbouring diagonals, and the ends of the table take all that is further. */
export const tableSource = `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let id = group_of(group) * 64u + lane;
  let entries = 2u * u32(p.reach) + 1u;
  let head = id / entries;
  if (head >= p.heads) { return; }
  let entry = i32(id % entries);
  // A key's distance from where its query stands, then from the query's number.
  let rows = (i32(p.queries) + ${blockSize - 1}) / ${blockSize};
  let apart = entry - p.reach + i32(p.keys) - i32(p.queries);
  let nearest = 1 - i32(p.queries);
  let furthest = i32(p.keys) - 1;
  let begin = select(max(apart, nearest), nearest, entry == 0);
  let end = select(min(apart, furthest), furthest, entry == 2 * p.reach);
  let diagonals = i32(p.diagonals);
  var sum = 0.0;
  for (var d = begin; d <= end; d++) {
    let line = (d + rows * ${blockSize}) / ${blockSize} - 1;
    let t = (d + rows * ${blockSize}) % ${blockSize};
    let first = (i32(head) * diagonals + line) * ${2 * blockSize} + t;
    if (line >= 0) { sum += partial_at(u32(first)); }
    if (line + 1 < diagonals) { sum += partial_at(u32(first + ${3 * blockSize})); }
  }
  table_put(id, sum);
}
`;
