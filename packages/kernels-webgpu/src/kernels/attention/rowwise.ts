/** Text of the kernels in which one invocation owns four rows, the lanes of its vectors, and walks over all rows of the other side. */

/** Rows of a workgroup, and how far apart the four of an invocation stand. */
export const lanes = 16;
/** Rows of the other side between two updates of what is summed, and of a product at a time. */
export const tile = 32;
export const products = 8;
/** The four rows of an invocation, of those of its block: so far apart that neighbours lie beside one another. */
export const ownRows = `(lane + vec4<u32>(0u, ${lanes}u, ${2 * lanes}u, ${3 * lanes}u))`;

export const count = (n: number, body: (i: number) => string): string => Array.from({ length: n }, (_, i) => body(i)).join("\n");

/**
 * `sum0` ... of eight rows of the other side: their products with the own four. `own_0` ... and `other_0` ... are places in memory; the other side's are the same for all lanes, which
 * processors that play a GPU fetch once.
 */
export function productSource(sum: string, own: string, other: string, vectors: string): string {
  return `${count(products, (u) => `var ${sum}${u} = vec4<f32>();`)}
for (var c = 0u; c < ${vectors}; c++) {
  ${count(4, (r) => `let a${r} = ${own}_vec(${own}_${r}, c);`)}
  ${"xyzw"
    .split("")
    .map((e) => `let b${e} = vec4<f32>(a0.${e}, a1.${e}, a2.${e}, a3.${e});`)
    .join("\n")}
  ${count(products, (u) => `{ let y = ${other}_vec(${other}_${u}, c); ${sum}${u} = ${"wzyx".split("").reduceRight((to, e) => `fma(b${e}, vec4<f32>(y.${e}), ${to})`, `${sum}${u}`)}; }`)}
}`;
}

/**
 * Does `body` with each of eight rows' products, which it calls by the names of their sums; t is the row's place in the tile, at `u` the first of them. A long text stands there once, in a
 * loop: eight times over takes some drivers seconds to compile.
 */
export function eachRow(sums: readonly string[], long: boolean, body: string): string {
  const named = (value: (sum: string) => string) => sums.map((sum) => `let ${sum} = ${value(sum)};`).join(" ");
  if (!long) return count(products, (n) => `{ let t = u + ${n}u; ${named((sum) => `${sum}${n}`)} ${body} }`);
  const all = sums.map((sum) => `var ${sum}_all = array(${Array.from({ length: products }, (_, n) => `${sum}${n}`).join(", ")});`);
  return `${all.join("\n")}
for (var n = 0u; n < ${products}u; n++) { let t = u + n; ${named((sum) => `${sum}_all[n]`)} ${body} }`;
}

/** Places of eight rows of the other side from `row` on, none beyond `last`. */
export const placesSource = (name: string, row: string, last: string): string =>
  count(products, (u) => `let ${name}_${u} = ${name}_base + i32(min(${row} + ${u}u, ${last})) * p.${name}_row;`);

/** Variables `NAME_c_r` for the own rows' vectors. */
export const sumsSource = (sums: string, vectors: number): string =>
  count(vectors, (c) => count(4, (r) => `var ${sums}_${c}_${r} = vec4<f32>();`));
export const eachSum = (sums: string, vectors: number, body: (sum: string, c: number, r: number) => string): string =>
  count(vectors, (c) => count(4, (r) => body(`${sums}_${c}_${r}`, c, r)));

/** Adds to them the rows of the other side from `first` to `first + rows`, times `weights`. */
export function sumSource(sums: string, weights: string, other: string, vectors: number, last: string): string {
  return `for (var t = 0u; t < rows; t++) {
    let w = ${weights}[t];
    let at = ${other}_base + i32(min(first + t, ${last})) * p.${other}_row;
    ${count(vectors, (c) => `{ let y = ${other}_vec(at, slab + ${c}u); ${count(4, (r) => `${sums}_${c}_${r} = fma(vec4<f32>(w.${"xyzw"[r]}), y, ${sums}_${c}_${r});`)} }`)}
  }`;
}

/** The r-th of four. */
export const pickSource = `
fn pick(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, r: u32) -> vec4<f32> { return select(select(a, b, r == 1u), select(c, d, r == 3u), r > 1u); }`;

/** Writes the sums of own row r, times `factor`; by way of `w`, as every place in the text that stores takes some drivers a second to compile. */
export const putSource = (to: string, sums: string, vectors: number, row: string, factor: string): string => `
${count(vectors, (c) => `w[${c}] = pick(${[0, 1, 2, 3].map((r) => `${sums}_${c}_${r}`).join(", ")}, r);`)}
for (var c = 0u; c < ${vectors}u; c++) { ${to}_put_vec(${row}, slab + c, w[c] * ${factor}); }`;
