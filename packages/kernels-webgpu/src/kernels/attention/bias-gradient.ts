import { blockSize } from "./blocking.ts";
import { ownKeys, pairsOfKeys } from "./key-gradient.ts";
import { lanes, ownRows } from "./rowwise.ts";
import { scoreSource, type Traits } from "./scores.ts";
import { fitsSource, runsSource, sound } from "./walk.ts";

/** Distances within a block of which a diagonal keeps the sums: from -64, which is none, to 63. */
export const distances = 2 * blockSize;

/**
 * Sums of the gradient by scores over each distance, by diagonals of blocks: a workgroup owns one of a head. All its blocks have the same distances in the same places, so an invocation adds up what
 * its four keys have with each of 64 queries, and only at the end these are added along their diagonals.
 */
export function diagonalSource(traits: Traits): string {
  const blocks = `for (var block = run_begin; block < run_end; block++) {
      let first = block * ${blockSize}u;
      let rows = min(p.queries - first, ${blockSize}u);
      let j = u32(i32(block) + diagonal) * ${blockSize}u + ${ownRows};
      ${ownKeys}
      ${pairsOfKeys(traits, "sums[t] += select(vec4<f32>(), d, i < vec4<u32>(p.queries));")}
    }`;
  const last = "u32(min(down, across - diagonal))";
  const dense = `let run_begin = u32(max(-diagonal, 0));
    let run_end = ${traits.causal ? `select(${last}, run_begin, (diagonal - 1) * ${blockSize} >= offset)` : last};
    ${blocks}`;
  return `
${scoreSource(traits)}
var<workgroup> pairs: array<vec4<f32>, ${blockSize * lanes}>;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let place = group_of(group);
  let line = place % p.diagonals;
  let head = place / p.diagonals % p.heads;
  let batch = place / p.diagonals / p.heads;
  if (batch >= p.batch) { return; }
  let down = i32((p.queries + ${blockSize - 1}u) / ${blockSize}u);
  let across = i32((p.keys + ${blockSize - 1}u) / ${blockSize}u);
  let diagonal = i32(line) - down + 1;
  let offset = i32(p.keys) - i32(p.queries);${fitsSource(traits)}
  let kv = head / p.group;
  let row = (batch * p.heads + head) * p.queries;
  let q_base = q_row(batch, head, 0u);
  let g_base = g_row(batch, head, 0u);
  var sums: array<vec4<f32>, ${blockSize}>;
  ${traits.map ? runsSource("diagonal", "p.diagonals", "line", blocks) : dense}
  for (var t = 0u; t < ${blockSize}u; t++) { pairs[t * ${lanes}u + lane] = sums[t]; }
  workgroupBarrier();
  let factor = ${sound(traits, "1.0")};
  for (var n = lane; n < ${distances}u; n += ${lanes}u) {
    var sum = 0.0;
    for (var t = max(${blockSize}u, n) - n; t < min(${distances}u - n, ${blockSize}u); t++) {
      let key = n + t - ${blockSize}u;
      sum += pairs[t * ${lanes}u + key % ${lanes}u][key / ${lanes}u];
    }
    partial_put(place * ${distances}u + n, sum * factor);
  }
}
`;
}

/** The table's entries, summed over the batch: each distance lies on two neighbouring diagonals, and the ends of the table take all that is further. */
export const tableSource = `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let id = group_of(group) * 64u + lane;
  let entries = 2u * u32(p.reach) + 1u;
  let head = id / entries;
  if (head >= p.heads) { return; }
  let entry = i32(id % entries);
  // Distances of the table count from where the query stands, those of diagonals from its number.
  let apart = entry - p.reach + i32(p.keys) - i32(p.queries);
  let nearest = 1 - i32(p.queries);
  let furthest = i32(p.keys) - 1;
  let begin = select(max(apart, nearest), nearest, entry == 0);
  let end = select(min(apart, furthest), furthest, entry == 2 * p.reach);
  let shift = (i32(p.queries) + ${blockSize - 1}) / ${blockSize} * ${blockSize};
  var sum = 0.0;
  for (var batch = 0u; batch < p.batch; batch++) {
    let first = (batch * p.heads + head) * p.diagonals * ${distances}u;
    for (var d = begin; d <= end; d++) {
      let line = u32(d + shift) / ${blockSize}u;
      let at = first + line * ${distances}u + u32(d + shift) % ${blockSize}u;
      if (line > 0u) { sum += partial_at(at - ${blockSize}u); }
      if (line < p.diagonals) { sum += partial_at(at); }
    }
  }
  table_put(id, sum);
}
`;
