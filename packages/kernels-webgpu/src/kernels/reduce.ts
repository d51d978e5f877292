import { argmax, argmin, axesIn, axisIn, max, min, prod, sizeOf, sum } from "@x/tensor";
import { u32 } from "../device/launch.ts";
import { groupReduction, type Reduction, serialReduction } from "../wgsl/reducing.ts";
import { webgpuKernel } from "./kernel.ts";
import { type Place, type Planner, type Wide, wideOf } from "./planner.ts";

/** A middle axis to reduce, and what lies around it. */
export interface Middle {
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
}

/** Rows from this length on are worth a workgroup. */
const longRow = 128;

/**
 * y[outer, inner] = x[outer, n, inner] reduced over n, in the wide type of x. Where the results alone would leave the device idle, parts of n are reduced first and then their
 * results; the split depends on the shape and the kind of device only.
 */
export function reduceMiddle(p: Planner, op: Reduction, x: Place, out: Place, { outer, n, inner }: Middle): void {
  if (outer * inner === 0) return;
  const byGroups = inner === 1 && n >= longRow && !p.caps.software;
  const [busy, least] = byGroups ? [256, 4096] : p.caps.software ? [1024, 128] : [16_384, 32];
  const parts = n <= 2 * least ? 1 : Math.max(1, Math.min(Math.ceil(busy / (outer * inner)), Math.ceil(n / least)));
  const chunk = Math.max(4, Math.ceil(n / parts / 4) * 4);
  const count = Math.max(1, Math.ceil(n / chunk));
  const to = count === 1 ? out : p.scratch(outer * count * inner, wideOf(x.dtype));
  reduceOnce(p, op, x, to, { outer, n, inner }, count, count === 1 ? n : chunk, byGroups);
  if (count > 1) reduceMiddle(p, op === "squares" ? "sum" : op, to, out, { outer, n: count, inner });
}

function reduceOnce(
  p: Planner,
  op: Reduction,
  x: Place,
  to: Place,
  { outer, n, inner }: Middle,
  parts: number,
  chunk: number,
  byGroups: boolean,
) {
  const along = inner === 1 ? "rows" : "columns";
  const width = (along === "rows" ? n : inner) % 4 === 0 && n > 0 ? 4 : 1;
  const wide = wideOf(x.dtype);
  const columns = along === "rows" ? 1 : inner / width;
  const total = outer * parts * columns;
  const unit = along === "rows" ? width : 1;
  p.run({
    label: `reduce ${op}`,
    code: byGroups ? groupReduction(op, wide, width) : serialReduction(op, wide, width, along),
    params: { total: u32(total), parts: u32(parts), chunk: u32(Math.ceil(chunk / unit)), n: u32(n / unit), inner: u32(columns) },
    groups: byGroups ? total : Math.ceil(total / 64),
    reads: { x: [x, width] },
    writes: { y: [to, along === "rows" ? 1 : width] },
  });
}

/** Runs of axes that are all reduced or all kept, as extents; those of extent 1 go. */
function runsOf(shape: readonly number[], axes: readonly number[]): { reduced: boolean; extent: number }[] {
  const runs: { reduced: boolean; extent: number }[] = [];
  for (const [axis, extent] of shape.entries()) {
    if (extent === 1) continue;
    const reduced = axes.includes(axis);
    const last = runs.at(-1);
    if (last?.reduced === reduced) last.extent *= extent;
    else runs.push({ reduced, extent });
  }
  return runs;
}

/** Reduces one run of axes after another, the innermost first. */
export function reduceAxes(p: Planner, op: Reduction, x: Place, shape: readonly number[], axes: readonly number[], out: Place): void {
  const runs = runsOf(shape, axes);
  const rounds = runs.filter(({ reduced }) => reduced).length;
  // Nothing to reduce: one round over an axis of extent 1 copies.
  if (rounds === 0) reduceMiddle(p, op, x, out, { outer: 1, n: 1, inner: sizeOf(shape) });
  let from = x;
  for (let round = 1; round <= rounds; round++) {
    const at = runs.findLastIndex(({ reduced }) => reduced);
    const size = (part: typeof runs) => sizeOf(part.map(({ extent }) => extent));
    const [outer, inner] = [size(runs.slice(0, at)), size(runs.slice(at + 1))];
    const to = round === rounds ? out : p.scratch(outer * inner, wideOf(x.dtype));
    reduceMiddle(p, op, from, to, { outer, n: runs[at]!.extent, inner });
    runs.splice(at, 1);
    from = to;
  }
}

const reducing = (contract: typeof sum, op: Reduction) =>
  webgpuKernel(contract, {
    plan: (p, { specs: { x }, attrs: { axes } }) =>
      reduceAxes(p, op, p.input("x"), x.shape, axesIn(axes, x.shape.length, op), p.output("y")),
  });

/** Whether \`a\` at \`i\` goes before \`b\` at \`j\`: better, or NaN where the other is none, or as good and earlier. */
const before = (op: "max" | "min", wide: Wide): string => {
  const nan = (v: string) => (wide === "f32" ? `(bitcast<u32>(${v}) & 0x7fffffffu) > 0x7f800000u` : "false");
  return `
fn before(a: ${wide}, i: u32, b: ${wide}, j: u32) -> bool {
  let a_nan = ${nan("a")};
  let b_nan = ${nan("b")};
  if (a_nan || b_nan) { return a_nan && (!b_nan || i < j); }
  return a ${op === "max" ? ">" : "<"} b || (a == b && i < j);
}`;
};

const serialPosition = (op: "max" | "min", wide: Wide): string => `${before(op, wide)}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_of(group) * 64u + lane;
  if (i >= p.total) { return; }
  let base = i / p.inner * p.n * p.inner + i % p.inner;
  var best = x_at(base);
  var at = 0u;
  for (var k = 1u; k < p.n; k++) {
    let v = x_at(base + k * p.inner);
    if (before(v, k, best, at)) { best = v; at = k; }
  }
  y_put(i, i32(at));
}
`;

const groupPosition = (op: "max" | "min", wide: Wide): string => `${before(op, wide)}
var<workgroup> values: array<${wide}, 256>;
var<workgroup> places: array<u32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_of(group);
  if (i >= p.total) { return; }
  var at = min(lane, p.n - 1u);
  var best = x_at(i * p.n + at);
  for (var k = lane + 256u; k < p.n; k += 256u) {
    let v = x_at(i * p.n + k);
    if (before(v, k, best, at)) { best = v; at = k; }
  }
  values[lane] = best;
  places[lane] = at;
  for (var half = 128u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half && before(values[lane + half], places[lane + half], values[lane], places[lane])) {
      values[lane] = values[lane + half];
      places[lane] = places[lane + half];
    }
  }
  if (lane == 0u) { y_put(i, i32(places[0])); }
}
`;

const placing = (contract: typeof argmax, op: "max" | "min") =>
  webgpuKernel(contract, {
    plan(p, { specs: { x }, attrs: { axis } }) {
      const at = axisIn(axis, x.shape.length, contract.contract.name);
      const [outer, n, inner] = [sizeOf(x.shape.slice(0, at)), x.shape[at]!, sizeOf(x.shape.slice(at + 1))];
      const total = outer * inner;
      const byGroups = inner === 1 && n >= longRow && !p.caps.software;
      const wide = wideOf(x.dtype);
      p.run({
        code: byGroups ? groupPosition(op, wide) : serialPosition(op, wide),
        params: { total: u32(total), n: u32(n), ...(!byGroups && { inner: u32(inner) }) },
        groups: byGroups ? total : Math.ceil(total / 64),
        reads: { x: p.input("x") },
        writes: { y: p.output("y") },
      });
    },
  });

export const reduceKernels = [
  reducing(sum, "sum"),
  reducing(prod as unknown as typeof sum, "prod"),
  reducing(max as unknown as typeof sum, "max"),
  reducing(min as unknown as typeof sum, "min"),
  placing(argmax, "max"),
  placing(argmin, "min"),
];
