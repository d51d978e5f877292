import { decodeAttention } from "@x/ops";
import { f32, i32, u32 } from "../device/launch.ts";
import { mathSource } from "../wgsl/math.ts";
import { webgpuKernel } from "./kernel.ts";

/** What a launch has besides q, k and v: text is written for what there is. */
interface Traits {
  readonly masked: boolean;
  readonly bias: boolean;
  readonly softcap: boolean;
  readonly window: boolean;
  readonly ring: boolean;
  readonly paged: boolean;
  readonly codes: boolean;
}

/**
 * What all launches share: which batch entry, head and query a row is, where it stands, and which places of the cache it looks through, begin_of ... end_of - 1, and sees of them. What lies
 * beyond is never read. Places are positions, but in a ring.
 */
function common({ masked, window, ring, paged }: Traits): string {
  const held = ring
    ? `let behind = lengths_at(batch_of(row)) - 1 - i32(j);
  return i32(j) + behind / i32(p.capacity) * i32(p.capacity);`
    : "return i32(j);";
  const tests = [
    ...(ring ? ["held <= stands(row)"] : []),
    ...(ring && window ? ["held > stands(row) - p.window"] : []),
    ...(masked ? ["mask_at(batch_of(row) * p.capacity + j) != 0u"] : []),
  ];
  const page = `return (u32(clamp(pages_at(batch_of(row) * (p.capacity / p.page) + j / p.page), 0, p.pool - 1)) * p.kv_heads + head_of(row) / p.group) * p.page + j % p.page;`;
  return `
fn batch_of(row: u32) -> u32 { return row / (p.heads * p.queries); }
fn head_of(row: u32) -> u32 { return row / p.queries % p.heads; }
fn first_of(row: u32) -> u32 { return ${paged ? "0u" : "(batch_of(row) * p.kv_heads + head_of(row) / p.group) * p.capacity"}; }
fn place_of(first: u32, row: u32, j: u32) -> u32 {
  ${paged ? page : "return first + j;"}
}
fn stands(row: u32) -> i32 { return lengths_at(batch_of(row)) - i32(p.queries) + i32(row % p.queries); }
fn held_at(row: u32, j: u32) -> i32 {
  ${held}
}
fn begin_of(row: u32) -> u32 { return ${window && !ring ? "u32(max(stands(row) + 1 - p.window, 0))" : "0u"}; }
fn end_of(row: u32) -> u32 { return u32(clamp(${ring ? "lengths_at(batch_of(row))" : "stands(row) + 1"}, 0, i32(p.capacity))); }
fn visible(row: u32, j: u32) -> bool {${ring ? "\n  let held = held_at(row, j);" : ""}
  return ${tests.join(" && ") || "true"};
}
`;
}
const head = `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let id = group_of(group) * 64u + lane;`;

/** A score an invocation. */
function scoreCode(traits: Traits): string {
  const { bias, softcap, codes } = traits;
  const key = codes ? "(f32(k_at(key + d)) - 128.0)" : "k_at(key + d)";
  const scaled = codes ? "sum * key_scales_at(place) * p.scale" : "sum * p.scale";
  const table = `
  let distance = clamp(held_at(row, j) - stands(row), -p.reach, p.reach);
  score += bias_at(head_of(row) * (2u * u32(p.reach) + 1u) + u32(distance + p.reach));`;
  return `${softcap ? mathSource(["m_tanh"]) : ""}${common(traits)}${head}
  let row = id / p.capacity;
  let j = id % p.capacity;
  if (row >= p.rows || j < begin_of(row) || j >= end_of(row) || !visible(row, j)) { return; }
  let place = place_of(first_of(row), row, j);
  let key = place * p.dim;
  var sum = 0.0;
  for (var d = 0u; d < p.dim; d++) { sum = fma(q_at(row * p.dim + d), ${key}, sum); }
  var score = ${scaled};${softcap ? "\n  score = m_tanh(vec4<f32>(score / p.softcap)).x * p.softcap;" : ""}${bias ? table : ""}
  scores_put(id, score);
}
`;
}

/** The largest score of a row, and the sum of what the exponential makes of all of them. */
const statsCode = (traits: Traits) => `${common(traits)}${head}
  if (id >= p.rows) { return; }
  let n = end_of(id);
  var largest = -3.0e38;
  for (var j = begin_of(id); j < n; j++) { if (visible(id, j)) { largest = max(largest, scores_at(id * p.capacity + j)); } }
  var sum = 0.0;
  for (var j = begin_of(id); j < n; j++) { if (visible(id, j)) { sum += exp(scores_at(id * p.capacity + j) - largest); } }
  stats_put(2u * id, largest);
  stats_put(2u * id + 1u, sum);
}
`;

/** An element of the result an invocation; rows that see nothing are zeros. */
function sumCode(traits: Traits): string {
  const value = traits.codes
    ? "(f32(v_at(place * p.value_dim + id % p.value_dim)) - 128.0) * value_scales_at(place)"
    : "v_at(place * p.value_dim + id % p.value_dim)";
  return `${common(traits)}${head}
  let row = id / p.value_dim;
  if (row >= p.rows) { return; }
  let largest = stats_at(2u * row);
  let total = stats_at(2u * row + 1u);
  let n = end_of(row);
  let first = first_of(row);
  var sum = 0.0;
  for (var j = begin_of(row); j < n; j++) {
    if (visible(row, j)) {
      let place = place_of(first, row, j);
      sum = fma(exp(scores_at(row * p.capacity + j) - largest), ${value}, sum);
    }
  }
  o_put(id, select(0.0, sum / max(total, 1.0e-30), total > 0.0));
}
`;
}

/** Scores, their statistics by row, and the weighted sums: three launches, each with as many invocations as results. */
export const decodeAttentionKernel = webgpuKernel(decodeAttention, {
  plan(p, { specs: { q, k, v, keyMask, bias, pages, keyScales }, attrs: { scale, softcap, window, ring } }) {
    const [batch, heads, queries, dim] = q.shape as [number, number, number, number];
    const [pool, kvHeads, extent] = k.shape as [number, number, number];
    const [capacity, valueDim] = [pages ? pages.shape[1]! * extent : extent, v.shape[3]!];
    const rows = batch * heads * queries;
    const traits: Traits = {
      ...{ masked: keyMask !== undefined, bias: bias !== undefined, paged: pages !== undefined, codes: keyScales !== undefined },
      ...{ softcap: softcap > 0, window: window > 0, ring },
    };
    const params = {
      ...{ rows: u32(rows), heads: u32(heads), kv_heads: u32(kvHeads), group: u32(heads / kvHeads), queries: u32(queries) },
      ...{ capacity: u32(capacity), dim: u32(dim), value_dim: u32(valueDim), scale: f32(scale) },
      ...(traits.bias && { reach: i32((bias!.shape[1]! - 1) / 2) }),
      ...(traits.softcap && { softcap: f32(softcap) }),
      ...(traits.window && { window: i32(window) }),
      ...(traits.paged && { page: u32(extent), pool: i32(pool) }),
    };
    const mask = { lengths: p.input("lengths"), ...(traits.masked && { mask: p.input("keyMask") }) };
    const table = traits.paged && { pages: p.input("pages") };
    const [scores, stats] = [p.scratch(rows * capacity), p.scratch(2 * rows)];
    const groups = (results: number) => Math.ceil(results / 64);
    const label = "decodeAttention";
    p.run({
      label: `${label}: scores`,
      code: scoreCode(traits),
      params,
      groups: groups(rows * capacity),
      reads: {
        ...{ q: p.input("q"), k: p.input("k"), ...mask, ...table },
        ...(traits.bias && { bias: p.input("bias") }),
        ...(traits.codes && { key_scales: p.input("keyScales") }),
      },
      writes: { scores },
    });
    p.run({
      label: `${label}: rows`,
      code: statsCode({ ...traits, paged: false }),
      params,
      groups: groups(rows),
      reads: { scores, ...mask },
      writes: { stats },
    });
    p.run({
      label,
      code: sumCode(traits),
      params,
      groups: groups(rows * valueDim),
      reads: { scores, stats, v: p.input("v"), ...mask, ...table, ...(traits.codes && { value_scales: p.input("valueScales") }) },
      writes: { o: p.output("o") },
    });
  },
});
