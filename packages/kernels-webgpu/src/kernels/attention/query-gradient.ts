import { count, eachRow, pickSource, placesSource, productSource, products, putSource, sumSource, sumsSource, tile } from "./rowwise.ts";
import { gradientOfScores, isLong, scoreSource, type Traits } from "./scores.ts";
import { ofQueries, ownQueries, sound, walkSource } from "./walk.ts";

/** dq: an invocation owns four queries and walks over the keys. */
export function gradientOfQueries(traits: Traits, slab: number): string {
  const scores = `
    let j = vec4<u32>(first + t);
    ${gradientOfScores(traits)}
    w[t] = ds;`;
  const body = `
    for (var u = 0u; u < rows; u += ${products}u) {
      ${placesSource("k", "first + u", "p.keys - 1u")}
      ${placesSource("v", "first + u", "p.keys - 1u")}
      ${productSource("s", "q", "k", "p.key_vectors")}
      ${productSource("y", "g", "v", "p.value_vectors")}
      ${eachRow(["s", "y"], isLong(traits), scores)}
    }
    ${sumSource("dq", "w", "k", slab, "p.keys - 1u")}`;
  return `
${scoreSource(traits)}
${pickSource}
${ownQueries(traits, slab)}
  ${count(4, (r) => `let q_${r} = q_row(batch, head, min(i[${r}], p.queries - 1u)); let g_${r} = g_row(batch, head, min(i[${r}], p.queries - 1u));`)}
  var lse: vec4<f32>;
  var delta: vec4<f32>;
  for (var r = 0u; r < 4u; r++) { let at = 2u * (row + min(i[r], p.queries - 1u)); lse[r] = stats_at(at); delta[r] = stats_at(at + 1u); }
  ${sumsSource("dq", slab)}
  var w: array<vec4<f32>, ${tile}>;
  ${walkSource(traits, ofQueries, body)}
  let factor = ${sound(traits, "1.0")};
  for (var r = 0u; r < 4u; r++) {
    if (i[r] >= p.queries) { continue; }
    ${putSource("dq", "dq", slab, "(row + i[r])", "factor")}
  }
}
`;
}
