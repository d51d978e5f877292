import {
  count,
  eachRow,
  eachSum,
  pickSource,
  placesSource,
  productSource,
  products,
  putSource,
  sumSource,
  sumsSource,
  tile,
} from "./rowwise.ts";
import { hidden, isLong, lowest, score, scoreSource, type Traits, thinned, visible } from "./scores.ts";
import { ofQueries, ownQueries, sound, walkSource } from "./walk.ts";

/**
 * Flash attention (Dao 2023, arXiv 2307.08691) by rows. The highest score so far changes seldom after the first keys, so what was summed is rescaled only where it does.
 */
export function forwardSource(traits: Traits, slab: number): string {
  const scores = `
    let j = vec4<u32>(first + t);
    let weight = select(vec4<f32>(${hidden}), ${score(traits)}, ${visible(traits)});
    w[t] = weight;
    top = max(top, weight);`;
  const body = `
    var top = m;
    for (var u = 0u; u < rows; u += ${products}u) {
      ${placesSource("k", "first + u", "p.keys - 1u")}
      ${productSource("s", "q", "k", "p.key_vectors")}
      ${eachRow(["s"], isLong(traits), scores)}
    }
    if (any(top > m)) {
      let alpha = exp(m - top);
      m = top;
      l *= alpha;
      ${eachSum("o", slab, (sum, _, r) => `${sum} *= alpha[${r}];`)}
    }
    for (var t = 0u; t < rows; t++) {
      let e = exp(w[t] - m);
      l += e;
      ${traits.dropout ? "let j = vec4<u32>(first + t);" : ""}
      w[t] = ${thinned(traits, "e")};
    }
    ${sumSource("o", "w", "v", slab, "p.keys - 1u")}`;
  return `
${scoreSource(traits)}
${pickSource}
${ownQueries(traits, slab)}
  ${count(4, (r) => `let q_${r} = q_row(batch, head, min(i[${r}], p.queries - 1u));`)}
  ${sumsSource("o", slab)}
  var w: array<vec4<f32>, ${tile}>;
  var m = vec4<f32>(${lowest});
  var l = vec4<f32>();
  ${walkSource(traits, ofQueries, body)}
  let inverse = select(1.0 / l, vec4<f32>(), l == vec4<f32>());
  let total = select(m + log(l), infinity(), l == vec4<f32>());
  for (var r = 0u; r < 4u; r++) {
    if (i[r] >= p.queries) { continue; }
    if (slab == 0u) { lse_put(row + i[r], ${sound(traits, "total[r]")}); }
    let factor = ${sound(traits, "inverse[r]")};
${putSource("o", "o", slab, "(row + i[r])", "factor")}
  }
}
`;
}
