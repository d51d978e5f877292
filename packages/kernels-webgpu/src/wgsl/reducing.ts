import type { Wide } from "../kernels/planner.ts";

export type Reduction = "sum" | "squares" | "prod" | "max" | "min";

/** How two results become one, from what it starts, and what an element counts for. */
interface Combination {
  readonly start: (type: string, first: string) => string;
  readonly combine: (wide: Wide, lanes: 1 | 4) => string;
  readonly element?: string;
}

const extremum = (name: "max" | "min"): Combination => ({
  // Taking an element twice changes nothing, so no infinity is needed to begin with.
  start: (_, first) => first,
  combine: (wide, lanes) => {
    if (wide !== "f32") return `return ${name}(a, b);`;
    const words = lanes === 1 ? "u32" : "vec4<u32>";
    const isNan = (x: string) => `((bitcast<${words}>(${x}) & ${words}(0x7fffffffu)) > ${words}(0x7f800000u))`;
    return `return select(select(${name}(a, b), b, ${isNan("b")}), a, ${isNan("a")});`;
  },
});
const sum: Combination = { start: (type) => `${type}(0)`, combine: () => "return a + b;" };

const combinations: Readonly<Record<Reduction, Combination>> = {
  sum,
  squares: { ...sum, element: "v * v" },
  prod: { start: (type) => `${type}(1)`, combine: () => "return a * b;" },
  max: extremum("max"),
  min: extremum("min"),
};

/** The functions `combine1`, `combine4`, `fold` (four to one) of a reduction. */
export const combining = (op: Reduction, wide: Wide): string => `
fn combine1(a: ${wide}, b: ${wide}) -> ${wide} { ${combinations[op].combine(wide, 1)} }
fn combine4(a: vec4<${wide}>, b: vec4<${wide}>) -> vec4<${wide}> { ${combinations[op].combine(wide, 4)} }
fn fold(v: vec4<${wide}>) -> ${wide} { return combine1(combine1(v.x, v.y), combine1(v.z, v.w)); }`;

const elementOf = (op: Reduction, wide: Wide, width: 1 | 4): string => `
fn element(i: u32) -> ${width === 1 ? wide : `vec4<${wide}>`} { let v = x_at(i); return ${combinations[op].element ?? "v"}; }`;

const typeOf = (wide: Wide, width: 1 | 4) => (width === 1 ? wide : `vec4<${wide}>`);

/**
 * Sums by one invocation each: y[outer, parts, inner] of x[outer, n, inner] over parts of \`p.chunk\`. "columns" takes vectors across inner, "rows" (inner 1) along n.
 */
export function serialReduction(op: Reduction, wide: Wide, width: 1 | 4, along: "rows" | "columns"): string {
  const type = typeOf(wide, width);
  const folded = along === "rows" && width === 4 ? "fold(total)" : "total";
  return `${combining(op, wide)}${elementOf(op, wide, width)}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_of(group) * 64u + lane;
  if (i >= p.total) { return; }
  let slice = i / p.inner;
  let first = slice % p.parts * p.chunk;
  let count = min(p.chunk, p.n - first);
  let base = (slice / p.parts * p.n + first) * p.inner + i % p.inner;
  var a: ${type} = ${combinations[op].start(type, "element(base)")};
  var b = a;
  var k = 0u;
  for (; k + 2u <= count; k += 2u) {
    a = combine${width}(a, element(base + k * p.inner));
    b = combine${width}(b, element(base + (k + 1u) * p.inner));
  }
  if (k < count) { a = combine${width}(a, element(base + k * p.inner)); }
  let total = combine${width}(a, b);
  y_put(i, ${folded});
}
`;
}

/** Rows by a workgroup each: y[rows, parts] of x[rows, n]. */
export function groupReduction(op: Reduction, wide: Wide, width: 1 | 4): string {
  const type = typeOf(wide, width);
  return `${combining(op, wide)}${elementOf(op, wide, width)}
var<workgroup> shared_totals: array<${wide}, 256>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_of(group);
  if (i >= p.total) { return; }
  let first = i % p.parts * p.chunk;
  let count = min(p.chunk, p.n - first);
  let base = i / p.parts * p.n + first;
  var a: ${type} = ${combinations[op].start(type, "element(base)")};
  for (var k = lane; k < count; k += 256u) { a = combine${width}(a, element(base + k)); }
  shared_totals[lane] = ${width === 4 ? "fold(a)" : "a"};
  for (var half = 128u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { shared_totals[lane] = combine1(shared_totals[lane], shared_totals[lane + half]); }
  }
  if (lane == 0u) { y_put(i, shared_totals[0]); }
}
`;
}
