import { count, eachRow, pickSource, placesSource, productSource, products, putSource, sumSource, sumsSource, tile } from "./rowwise.ts";
import { gradientOfScores, isLong, scoreSource, type Traits } from "./scores.ts";
import { ofKeys, ownSource, sound, walkSource } from "./walk.ts";

/** Where the own keys and their values lie. */
export const ownKeys = count(
  4,
  (r) => `let k_${r} = k_row(batch, kv, min(j[${r}], p.keys - 1u)); let v_${r} = v_row(batch, kv, min(j[${r}], p.keys - 1u));`,
);

/** Does `use` with the gradients of the own keys' scores with each of `rows` queries from `first` on, and some more. */
export function pairsOfKeys(traits: Traits, use: string): string {
  const pair = `
        let i = vec4<u32>(first + t);
        let at = 2u * (row + min(first + t, p.queries - 1u));
        let lse = stats_at(at);
        let delta = stats_at(at + 1u);
        ${gradientOfScores(traits)}
        ${use}`;
  return `
      for (var u = 0u; u < rows; u += ${products}u) {
        ${placesSource("q", "first + u", "p.queries - 1u")}
        ${placesSource("g", "first + u", "p.queries - 1u")}
        ${productSource("s", "k", "q", "p.key_vectors")}
        ${productSource("y", "v", "g", "p.value_vectors")}
        ${eachRow(["s", "y"], isLong(traits), pair)}
      }`;
}

/** dk and dv: an invocation owns four keys and walks over the queries of all heads that share them. */
export function gradientOfKeys(traits: Traits, slab: { readonly k: number; readonly v: number }): string {
  const body = `${pairsOfKeys(traits, "w[t] = left; x[t] = ds;")}
      { let slab = share * ${slab.v}u; ${sumSource("dv", "w", "g", slab.v, "p.queries - 1u")} }
      { let slab = share * ${slab.k}u; ${sumSource("dk", "x", "q", slab.k, "p.queries - 1u")} }`;
  return `
${scoreSource(traits)}
${pickSource}
${ownSource(traits, ofKeys)}
  ${ownKeys}
  ${sumsSource("dk", slab.k)}
  ${sumsSource("dv", slab.v)}
  var w: array<vec4<f32>, ${tile}>;
  var x: array<vec4<f32>, ${tile}>;
  for (var head = kv * p.group; head < (kv + 1u) * p.group; head++) {
    let q_base = q_row(batch, head, 0u);
    let g_base = g_row(batch, head, 0u);
    let row = (batch * p.heads + head) * p.queries;
    ${walkSource(traits, ofKeys, body)}
  }
  let row = (batch * p.kv_heads + kv) * p.keys;
  let factor = ${sound(traits, "1.0")};
  for (var r = 0u; r < 4u; r++) {
    if (j[r] >= p.keys) { continue; }
    { let slab = share * ${slab.v}u; ${putSource("dv", "dv", slab.v, "(row + j[r])", "factor")} }
    { let slab = share * ${slab.k}u; ${putSource("dk", "dk", slab.k, "(row + j[r])", "factor")} }
  }
}
`;
}
