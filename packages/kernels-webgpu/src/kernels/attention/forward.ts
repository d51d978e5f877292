import { blockSize } from "./blocking.ts";
import {
  count,
  eachSum,
  lanes,
  pickSource,
  placesSource,
  productSource,
  products,
  putSource,
  sumSource,
  sumsSource,
  tile,
} from "./rowwise.ts";
import { hidden, lowest, scoreSource, type Traits } from "./scores.ts";

/**
 * Flash attention (Dao 2023, arXiv 2307.08691) by rows. The highest score so far changes seldom after the first keys, so what was summed is rescaled only where it does.
 */
export function forwardSource(slab: number, traits: Traits): string {
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
  let i = block * ${blockSize}u + lane + vec4<u32>(0u, ${lanes}u, ${2 * lanes}u, ${3 * lanes}u);
  ${count(4, (r) => `let q_${r} = q_row(batch, head, min(i[${r}], p.queries - 1u));`)}
  ${sumsSource("o", slab)}
  var w: array<vec4<f32>, ${tile}>;
  var m = vec4<f32>(${lowest});
  var l = vec4<f32>();
  let end = ${traits.causal ? `u32(clamp(i32((block + 1u) * ${blockSize}u) + offset, 0, i32(keys)))` : "keys"};
  for (var first = 0u; first < end; first += ${tile}u) {
    let rows = min(end - first, ${tile}u);
    var top = m;
    for (var u = 0u; u < rows; u += ${products}u) {
      let j = first + u;
      ${placesSource("k", "j", "keys - 1u")}
      ${productSource("s", "q", "k", "p.key_vectors")}
      ${count(products, (u) => `{ let s = select(vec4<f32>(${hidden}), s${u} * p.scale, visible(batch, i, vec4<u32>(j + ${u}u), keys, offset)); w[u + ${u}u] = s; top = max(top, s); }`)}
    }
    if (any(top > m)) {
      let alpha = exp(m - top);
      m = top;
      l *= alpha;
      ${eachSum("o", slab, (sum, _, r) => `${sum} *= alpha[${r}];`)}
    }
    for (var t = 0u; t < rows; t++) { let e = exp(w[t] - m); w[t] = e; l += e; }
    ${sumSource("o", "w", "v", slab, "keys - 1u")}
  }
  let inverse = select(1.0 / l, vec4<f32>(), l == vec4<f32>());
  let total = select(m + log(l), vec4<f32>(bitcast<f32>(0x7f800000u | (p.grid_x & 0u))), l == vec4<f32>());
  for (var r = 0u; r < 4u; r++) {
    if (i[r] >= p.queries) { continue; }
    let row = (batch * p.heads + head) * p.queries + i[r];
    if (slab == 0u) { lse_put(row, total[r]); }
${putSource("o", "o", slab, "row", "inverse[r]")}
  }
}
`;
}
