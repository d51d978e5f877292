/** What a source depends on beside its numbers. */
export interface Shaders {
  readonly bits: 4 | 8;
  readonly group: number;
  /** Rows of x that an invocation multiplies a weight with. */
  readonly rows: number;
  /** Rows of x are whole fours. */
  readonly fours: boolean;
  readonly bias: boolean;
}

/** Most rows of an invocation, and its outputs. */
export const perInvocation = 4;
export const outputsOf = 4;
const side = 8;
/** Rows and outputs of a workgroup. */
export const span = side * perInvocation;

const lanes = [0, 1, 2, 3];
const each = (n: number, body: (i: number) => string, by = "\n  ") => Array.from({ length: n }, (_, i) => body(i)).join(by);

/** `codes(n, k)`: those of output n for inputs k to k + 3 (k a multiple of 4); `x_four(m, k)`: the same of a row of x, with zeros beyond its end. */
const reading = ({ bits, group, fours }: Shaders) => `
fn codes(n: u32, k: u32) -> vec4<f32> {
  let word = weight_at(n * (p.groups * ${(group * bits) / 32}u) + k / ${32 / bits}u);
  return vec4<f32>((vec4<u32>(${bits === 8 ? "word" : "word >> ((k & 4u) << 2u)"}) >> vec4<u32>(${lanes.map((i) => `${i * bits}u`).join(", ")})) & vec4<u32>(${2 ** bits - 1}u));
}
${
  fours
    ? "fn x_four(m: u32, k: u32) -> vec4<f32> { return select(vec4<f32>(0.0), x_at((m * p.k + min(k, p.k - 4u)) >> 2u), k < p.k); }"
    : `fn x_one(m: u32, k: u32) -> f32 { return select(0.0, x_at(m * p.k + min(k, p.k - 1u)), k < p.k); }
fn x_four(m: u32, k: u32) -> vec4<f32> { return vec4<f32>(${lanes.map((i) => `x_one(m, k + ${i}u)`).join(", ")}); }`
}
fn column(n0: u32, i: u32) -> u32 { return min(n0 + i, p.n - 1u); }
fn scale_of(n0: u32, g: u32) -> vec4<f32> { return vec4<f32>(${lanes.map((i) => `scales_at(column(n0, ${i}u) * p.groups + g)`).join(", ")}); }
fn zero_of(n0: u32, g: u32) -> vec4<f32> { return vec4<f32>(vec4<u32>(${lanes.map((i) => `zeros_at(column(n0, ${i}u) * p.groups + g)`).join(", ")})); }`;

const storing = ({ bias }: Shaders) => `
fn store(m: u32, n0: u32, v: vec4<f32>) {
  for (var i = 0u; i < 4u; i++) { if (n0 + i < p.n) { y_put(m * p.n + n0 + i, v[i]${bias ? " + bias_at(n0 + i)" : ""}); } }
}
`;

const begin = `@compute @workgroup_size(${side * side})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {`;

/** Four inputs of four outputs less their zero points, w0 to w3. */
const weights = (k: string, zero: string) => each(4, (i) => `let w${i} = codes(column(n0, ${i}u), ${k}) - ${zero}[${i}];`, " ");
const products = (x: string) => `vec4<f32>(${lanes.map((i) => `dot(${x}, w${i})`).join(", ")})`;

/** An invocation makes up to four rows of four outputs. Each group is summed before it is scaled. */
export function tileSource(shaders: Shaders): string {
  const { rows, group } = shaders;
  return `${reading(shaders)}${storing(shaders)}${begin}
  let tiles = (p.n + ${span - 1}u) / ${span}u;
  let at = group_of(group);
  let m0 = at / tiles * ${span}u + lane / ${side}u * ${perInvocation}u;
  let n0 = at % tiles * ${span}u + lane % ${side}u * ${outputsOf}u;
  if (m0 >= p.m || n0 >= p.n) { return; }
  ${each(rows, (r) => `let row${r} = min(m0 + ${r}u, p.m - 1u); var acc${r} = vec4<f32>(0.0);`)}
  for (var g = 0u; g < p.groups; g++) {
    let zero = zero_of(n0, g);
    ${each(rows, (r) => `var sum${r} = vec4<f32>(0.0);`, " ")}
    let end = min(p.k, (g + 1u) * ${group}u);
    for (var k = g * ${group}u; k < end; k += 4u) {
      ${weights("k", "zero")}
      ${each(rows, (r) => `let x${r} = x_four(row${r}, k); sum${r} += ${products(`x${r}`)};`, "\n      ")}
    }
    let scale = scale_of(n0, g);
    ${each(rows, (r) => `acc${r} = fma(sum${r}, scale, acc${r});`, " ")}
  }
  ${each(rows, (r) => `if (m0 + ${r}u < p.m) { store(m0 + ${r}u, n0, acc${r}); }`)}
}
`;
}

/** A workgroup makes four outputs of all (at most four) rows, its lanes sharing out the sums, eight inputs at a time. */
export function sharedSumSource(shaders: Shaders): string {
  const { rows, group } = shaders;
  const lanesOf = side * side;
  return `${reading(shaders)}${storing(shaders)}
var<workgroup> partial: array<vec4<f32>, ${rows * lanesOf}>;
${begin}
  let n0 = group_of(group) * ${outputsOf}u;
  if (n0 >= p.n) { return; }
  ${each(rows, (r) => `var acc${r} = vec4<f32>(0.0);`, " ")}
  for (var k = lane * 8u; k < p.k; k += ${8 * lanesOf}u) {
    let g = k / ${group}u;
    let zero = zero_of(n0, g);
    ${each(rows, (r) => `var sum${r} = vec4<f32>(0.0);`, " ")}
    ${each(
      2,
      (half) => `{
      ${weights(`k + ${4 * half}u`, "zero")}
      ${each(rows, (r) => `let x${r} = x_four(${r}u, k + ${4 * half}u); sum${r} += ${products(`x${r}`)};`, "\n      ")}
    }`,
      "\n    ",
    )}
    let scale = scale_of(n0, g);
    ${each(rows, (r) => `acc${r} = fma(sum${r}, scale, acc${r});`, " ")}
  }
  ${each(rows, (r) => `partial[${r * lanesOf}u + lane] = acc${r};`, " ")}
  workgroupBarrier();
  for (var step = ${lanesOf / 2}u; step > 0u; step /= 2u) {
    if (lane < step) { ${each(rows, (r) => `partial[${r * lanesOf}u + lane] += partial[${r * lanesOf}u + lane + step];`, " ")} }
    workgroupBarrier();
  }
  if (lane < ${rows}u) { store(lane, n0, partial[lane * ${lanesOf}u]); }
}
`;
}
