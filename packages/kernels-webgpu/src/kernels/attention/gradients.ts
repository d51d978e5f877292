import { blockSize } from "./blocking.ts";
import { count, lanes, pickSource, placesSource, productSource, products, putSource, sumSource, sumsSource, tile } from "./rowwise.ts";
import { scoreSource, type Traits } from "./scores.ts";

const own = `vec4<u32>(0u, ${lanes}u, ${2 * lanes}u, ${3 * lanes}u)`;

/** Weights `e` and gradients of scores `d` of four pairs, from products `s` of q and k and `y` of dO and v. */
const gradientOfScores = (s: string, y: string, seen: string, lse: string, delta: string): string => `
let e = select(vec4<f32>(), exp(${s} * p.scale - ${lse}), ${seen});
let d = e * (${y} - ${delta}) * p.scale;`;

/** dq: an invocation owns four queries and walks over the keys. */
export function gradientOfQueries(traits: Traits, slab: number): string {
  return `
${scoreSource(traits)}
${pickSource}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let place = group_of(group);
  let blocks = (p.queries + ${blockSize - 1}u) / ${blockSize}u;
  let slab = place % p.slabs * ${slab}u;
  let block = place / p.slabs % blocks;
  let head = place / p.slabs / blocks % p.heads;
  let batch = place / p.slabs / blocks / p.heads;
  if (batch >= p.batch) { return; }
  let keys = keys_of(batch);
  let offset = i32(keys) - i32(p.queries);
  let k_base = k_row(batch, head / p.group, 0u);
  let v_base = v_row(batch, head / p.group, 0u);
  let i = block * ${blockSize}u + lane + ${own};
  let row = (batch * p.heads + head) * p.queries;
  ${count(4, (r) => `let q_${r} = q_row(batch, head, min(i[${r}], p.queries - 1u)); let g_${r} = g_row(batch, head, min(i[${r}], p.queries - 1u));`)}
  var lse: vec4<f32>;
  var delta: vec4<f32>;
  for (var r = 0u; r < 4u; r++) { let at = 2u * (row + min(i[r], p.queries - 1u)); lse[r] = stats_at(at); delta[r] = stats_at(at + 1u); }
  ${sumsSource("dq", slab)}
  var w: array<vec4<f32>, ${tile}>;
  let end = ${traits.causal ? `u32(clamp(i32((block + 1u) * ${blockSize}u) + offset, 0, i32(keys)))` : "keys"};
  for (var first = 0u; first < end; first += ${tile}u) {
    let rows = min(end - first, ${tile}u);
    for (var u = 0u; u < rows; u += ${products}u) {
      let j = first + u;
      ${placesSource("k", "j", "keys - 1u")}
      ${placesSource("v", "j", "keys - 1u")}
      ${productSource("s", "q", "k", "p.key_vectors")}
      ${productSource("y", "g", "v", "p.value_vectors")}
      ${count(products, (u) => `{ ${gradientOfScores(`s${u}`, `y${u}`, `visible(batch, i, vec4<u32>(j + ${u}u), keys, offset)`, "lse", "delta")} w[u + ${u}u] = d; }`)}
    }
    ${sumSource("dq", "w", "k", slab, "keys - 1u")}
  }
  for (var r = 0u; r < 4u; r++) {
    if (i[r] >= p.queries) { continue; }
    ${putSource("dq", "dq", slab, "(row + i[r])", "1.0")}
  }
}
`;
}

/** dk and dv: an invocation owns four keys and walks over the queries of all heads that share them. */
export function gradientOfKeys(traits: Traits, slab: { readonly k: number; readonly v: number }): string {
  return `
${scoreSource(traits)}
${pickSource}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let place = group_of(group);
  let blocks = (p.keys + ${blockSize - 1}u) / ${blockSize}u;
  let part = place % p.slabs;
  let block = place / p.slabs % blocks;
  let kv = place / p.slabs / blocks % p.kv_heads;
  let batch = place / p.slabs / blocks / p.kv_heads;
  if (batch >= p.batch) { return; }
  let keys = keys_of(batch);
  let offset = i32(keys) - i32(p.queries);
  let j = block * ${blockSize}u + lane + ${own};
  ${count(4, (r) => `let k_${r} = k_row(batch, kv, min(j[${r}], p.keys - 1u)); let v_${r} = v_row(batch, kv, min(j[${r}], p.keys - 1u));`)}
  ${sumsSource("dk", slab.k)}
  ${sumsSource("dv", slab.v)}
  var w: array<vec4<f32>, ${tile}>;
  var z: array<vec4<f32>, ${tile}>;
  let begin = ${traits.causal ? `u32(clamp(i32(block * ${blockSize}u) - offset, 0, i32(p.queries)))` : "0u"};
  for (var head = kv * p.group; head < (kv + 1u) * p.group; head++) {
    let q_base = q_row(batch, head, 0u);
    let g_base = g_row(batch, head, 0u);
    let row = (batch * p.heads + head) * p.queries;
    for (var first = begin; first < p.queries; first += ${tile}u) {
      let rows = min(p.queries - first, ${tile}u);
      for (var u = 0u; u < rows; u += ${products}u) {
        let i = first + u;
        ${placesSource("q", "i", "p.queries - 1u")}
        ${placesSource("g", "i", "p.queries - 1u")}
        ${productSource("s", "k", "q", "p.key_vectors")}
        ${productSource("y", "v", "g", "p.value_vectors")}
        ${count(
          products,
          (u) => `{ let at = 2u * (row + min(i + ${u}u, p.queries - 1u));
${gradientOfScores(`s${u}`, `y${u}`, `visible(batch, vec4<u32>(i + ${u}u), j, keys, offset)`, "stats_at(at)", "stats_at(at + 1u)")} w[u + ${u}u] = e; z[u + ${u}u] = d; }`,
        )}
      }
      { let slab = part * ${slab.v}u; ${sumSource("dv", "w", "g", slab.v, "p.queries - 1u")} }
      { let slab = part * ${slab.k}u; ${sumSource("dk", "z", "q", slab.k, "p.queries - 1u")} }
    }
  }
  let row = (batch * p.kv_heads + kv) * p.keys;
  for (var r = 0u; r < 4u; r++) {
    if (j[r] >= p.keys) { continue; }
    { let slab = part * ${slab.v}u; ${putSource("dv", "dv", slab.v, "(row + j[r])", "1.0")} }
    { let slab = part * ${slab.k}u; ${putSource("dk", "dk", slab.k, "(row + j[r])", "1.0")} }
  }
}
`;
}
